"""List recipes and their versions; queue depth."""

from __future__ import annotations

from typing import Any

from engine.contracts.registry import DepthRow, RecipeRow, VersionRow
from engine.core.recipes import natural
from engine.errors import Missing
from engine.store import Tx, queues, recipes


async def all_recipes(tx: Tx) -> list[RecipeRow]:
    """Every recipe with its newest version by natural order, by id."""
    newest: dict[str, recipes.Entry] = {}
    for entry in await recipes.entries(tx):
        known = newest.get(entry.id)
        if known is None or natural(entry.v) > natural(known.v):
            newest[entry.id] = entry
    return [
        RecipeRow(
            id=one.id,
            name=one.name,
            latest_v=one.v,
            status=one.status,  # type: ignore[arg-type]  # pydantic checks the word at run time
            updated_at=_ms(one.created_at),
        )
        for one in newest.values()
    ]


async def versions(tx: Tx, recipe_id: str) -> list[VersionRow]:
    """Every version of the recipe, newest first by natural order. Raises Missing."""
    found = await recipes.versions(tx, recipe_id)
    if not found:
        raise Missing(f"recipe not found: {recipe_id}")
    return [
        VersionRow(
            id=one.id,
            v=one.v,
            hash=one.hash,
            status=one.status,  # type: ignore[arg-type]  # pydantic checks the word at run time
            created_at=_ms(one.created_at),
            eval_count=len(one.spec["eval"]),
            fixture_count=len(one.spec["fixtures"]),
        )
        for one in sorted(found, key=lambda each: natural(each.v), reverse=True)
    ]


async def queue_depth(tx: Tx, limit: int) -> list[DepthRow]:
    """At most ``limit`` rows of the view, by queue and status."""
    return [
        DepthRow(
            queue_name=row.queue_name,
            status=row.status,
            workflow_count=row.workflow_count,
            oldest_created_at=row.oldest_created_at,
            newest_created_at=row.newest_created_at,
        )
        for row in await queues.depth(tx, limit)
    ]


def _ms(at: Any) -> int:
    return int(at.timestamp() * 1000)
