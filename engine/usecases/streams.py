"""The status stream of a run: every status word of its row, as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final

from engine.core.runs import TERMINAL
from engine.store import Tx, runs
from engine.store.pool import Pool

LOOK_S: Final = 0.25


async def run_id(tx: Tx, wid: str) -> str:
    """The id of the run with this workflow id or run id. Raises Missing."""
    run, _ = await runs.load(tx, wid)
    return run.id


async def words(pool: Pool, run: str, is_over: Callable[[], bool]) -> AsyncIterator[str]:
    """Each status word once, in order, until the run has ended or ``is_over``."""
    after = 0
    while not is_over():
        async with pool.connection() as tx:
            found = await runs.words(tx, run, after)
        for moved in found:
            yield moved.status
        if found:
            after = found[-1].id
            if found[-1].status in TERMINAL:
                return
        await asyncio.sleep(LOOK_S)
