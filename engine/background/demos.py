"""Marks that a workflow writes around a durable sleep; tests count them after a crash."""

from __future__ import annotations

from dataclasses import dataclass

from engine.store import demos as store
from engine.store.pool import Pool


@dataclass(frozen=True, slots=True)
class Marks:
    """The log of marks, over one pool of connections."""

    pool: Pool

    async def leave(self, function_id: int, workflow_id: str, mark: str) -> None:
        """Write one line, once per step."""
        await self.pool.insist(store.mark, workflow_id, mark, function_id)
