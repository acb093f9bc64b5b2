"""The patches of a run's steps, to read."""

from __future__ import annotations

from engine.core import patches as rules
from engine.core.patches import Entry
from engine.store import Tx, patches, runs


async def list_step_patches(tx: Tx, wid: str, step_id: str) -> list[Entry]:
    """The newest entry of each patch of a step of the run, by index. Raises Missing."""
    run, _ = await runs.load(tx, wid)
    return rules.latest(await patches.of_run(tx, run.id, step_id))
