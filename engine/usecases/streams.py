"""The status stream of a run: the words of its row, as the worker wrote them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final

from engine.core.canon import Json
from engine.core.runs import TERMINAL
from engine.store import Tx, runs, workflows
from engine.store.pool import Pool

STATUS: Final = "status"
CLOSED: Final = "__DBOS_STREAM_CLOSED__"
LOOK_S: Final = 0.25
PATIENCE: Final = 4


async def execution(tx: Tx, wid: str) -> str:
    """The execution whose stream the run's is now. Raises Missing."""
    _, progress = await runs.load(tx, wid)
    return progress.execution_id


async def values(
    pool: Pool, wid: str, execution_id: str, is_over: Callable[[], bool]
) -> AsyncIterator[Json]:
    """Each value once, in order, until the stream closes, or ``is_over``.

    A run that ended without closing its stream is given some more looks for its last word.
    """
    position, patience = 0, PATIENCE
    while patience and not is_over():
        async with pool.connection() as tx:
            _, progress = await runs.load(tx, wid)
            found = await workflows.stream(tx, execution_id, STATUS, position)
        for value in found:
            if value == CLOSED:
                return
            yield value
        position += len(found)
        patience -= progress.status in TERMINAL
        await asyncio.sleep(LOOK_S)
