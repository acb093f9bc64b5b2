"""Selects the prepared sandbox for each attempt of a task."""

from __future__ import annotations

from engine.core import templates as rules
from engine.store import Tx
from engine.store import templates as store
from engine.store.tasks import Standing
from engine.store.templates import Selection


async def select(tx: Tx, run_id: str, task_key: str, attempt: int, needs: Standing) -> None:
    """Select the sandbox and record the selection before the attempt begins."""
    wanted = rules.environment(needs.constraints)
    key = rules.key(needs.recipe_id, needs.recipe_v, wanted.deps_hash)
    selection = Selection(
        run_id=run_id,
        task_key=task_key,
        attempt=attempt,
        template_key=key,
        recipe_id=needs.recipe_id,
        recipe_v=needs.recipe_v,
        deps_hash=wanted.deps_hash,
        template_id=needs.templates.get(key),
    )
    await store.select(tx, selection)
