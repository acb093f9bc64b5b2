"""Rows of ``app.promotions`` and ``app.eval_results``, and the two moves of a recipe's version."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from psycopg.rows import class_row, scalar_row

from engine.core.evals import Finding, Result
from engine.core.recipes import Recipe
from engine.core.workflows import PROMOTION
from engine.errors import Missing
from engine.store import Tx, sql

SQL: Final = sql.load("promotions")


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A promotion, and the present status of its version."""

    id: str
    v: str
    hash: str
    status: str
    active_v: str | None
    state: str
    outcome_hashes: list[str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed:
    """The findings of one round of one fixture, by check."""

    promotion_id: str
    round: int
    fixture_id: str
    intent_hash: str | None
    findings: Mapping[str, Finding]


async def hold(tx: Tx, recipe_id: str, v: str) -> Recipe | None:
    """Lock exactly this version, if it exists, until the transaction ends."""
    async with tx.cursor(row_factory=class_row(Recipe)) as rows:
        return await (await rows.execute(SQL["hold"], {"id": recipe_id, "v": v})).fetchone()


async def active_v(tx: Tx, recipe_id: str) -> str | None:
    """The version that new starts pin, if one was ever stable."""
    async with tx.cursor(row_factory=scalar_row) as rows:
        found: str | None = await (await rows.execute(SQL["active"], {"id": recipe_id})).fetchone()
        return found


async def nominate(tx: Tx, recipe: Recipe) -> None:
    """Make the draft a candidate."""
    await tx.execute(SQL["nominate"], {"id": recipe.id, "v": recipe.v})


async def under_way(tx: Tx, recipe: Recipe) -> str | None:
    """The id of the version's promotion that has not ended, if it exists."""
    async with tx.cursor(row_factory=scalar_row) as rows:
        values = {"id": recipe.id, "v": recipe.v}
        found: str | None = await (await rows.execute(SQL["open"], values)).fetchone()
        return found


async def begin(tx: Tx, recipe: Recipe, prefix: str, app_version: str) -> str:
    """Create the row and workflow of the version's next promotion; return its id."""
    values = {
        "id": recipe.id,
        "v": recipe.v,
        "prefix": prefix,
        "name": PROMOTION,
        "fixtures": json.dumps([fixture["id"] for fixture in recipe.spec["fixtures"]]),
        "app_version": app_version,
    }
    async with tx.cursor(row_factory=scalar_row) as rows:
        return str(await (await rows.execute(SQL["begin"], values)).fetchone())


async def subject(tx: Tx, promotion_id: str) -> Recipe:
    """The version to promote. Raises Missing."""
    async with tx.cursor(row_factory=class_row(Recipe)) as rows:
        values = {"promotion_id": promotion_id}
        found = await (await rows.execute(SQL["subject"], values)).fetchone()
    if found is None:
        raise Missing(f"promotion not found: {promotion_id}")
    return found


async def keep(tx: Tx, rehearsed: Rehearsed) -> None:
    """Write the findings, unless an earlier try wrote its own."""
    findings = [
        {"check_id": name, "pass": each.passed, "reason": each.reason, "payload": each.payload}
        for name, each in rehearsed.findings.items()
    ]
    values: dict[str, Any] = {
        "promotion_id": rehearsed.promotion_id,
        "round": rehearsed.round,
        "fixture_id": rehearsed.fixture_id,
        "intent_hash": rehearsed.intent_hash,
        "findings": json.dumps(findings, ensure_ascii=False),
    }
    await tx.execute(SQL["keep"], values)


async def results(tx: Tx, promotion_id: str) -> list[Result]:
    """All findings, by fixture, check and round."""
    async with tx.cursor(row_factory=class_row(Result)) as rows:
        values = {"promotion_id": promotion_id}
        return await (await rows.execute(SQL["results"], values)).fetchall()


async def end(tx: Tx, promotion_id: str, state: str, hashes: Sequence[str] | None) -> bool:
    """End the promotion as ``state``; False if it had ended already."""
    values = {"promotion_id": promotion_id, "state": state, "hashes": hashes and [*hashes]}
    return (await tx.execute(SQL["end"], values)).rowcount == 1


async def crown(tx: Tx, recipe: Recipe) -> bool:
    """Make the candidate stable and active; return whether it did so."""
    values = {"id": recipe.id, "v": recipe.v}
    return (await tx.execute(SQL["crown"], values)).rowcount == 1


async def standing(tx: Tx, promotion_id: str) -> Standing:
    """The promotion and the status of its version. Raises Missing."""
    async with tx.cursor(row_factory=class_row(Standing)) as rows:
        values = {"promotion_id": promotion_id}
        found = await (await rows.execute(SQL["one"], values)).fetchone()
    if found is None:
        raise Missing(f"promotion not found: {promotion_id}")
    return found
