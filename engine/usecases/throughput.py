"""The throughput of the last hour. Each call reads every figure again; nothing is cached."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from engine.ports import lanes
from engine.ports.lanes import LaneFile
from engine.store import throughput as store
from engine.store.pool import Pool
from engine.store.throughput import Fairness, Priority, Template, Violation


@dataclass(frozen=True, slots=True)
class Seen:
    """All figures."""

    fairness: list[Fairness]
    priority: list[Priority]
    budgets: list[Violation]
    templates: list[Template]
    load: list[LaneFile]


async def load_throughput(pool: Pool, load_dir: Path) -> Seen:
    """The rows of one moment, and the files of load lanes."""
    files = await asyncio.to_thread(lanes.files, load_dir)
    async with pool.connection() as tx, tx.transaction():
        await store.at_one_moment(tx)
        fairness, priority = await store.count_queues(tx)
        return Seen(
            fairness=fairness,
            priority=priority,
            budgets=await store.budgets(tx),
            templates=await store.templates(tx),
            load=files,
        )
