"""An executor's presence: it holds its id, beats, looks after lost ones, and knows when it is lost.

Both locks and beats are needed: a lock goes the moment a process dies, a beat stops when a process
stands still. A server that restarts drops every lock, so nobody is declared lost right after.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from engine.errors import InUse
from engine.store import Tx, executors, pool
from engine.store.executors import Identity
from engine.store.pool import AWAY

log = logging.getLogger(__name__)
BEAT_S: Final = 0.25
TAKE_S: Final = 6.0  # a frozen namesake is declared lost by then, a killed one is gone at once
TRY_S: Final = 0.05


class Lost(Exception):
    """Somebody took over what this process was running."""


class Presence:
    """One process as one executor of the database at ``dsn``."""

    def __init__(self, dsn: str, who: Identity) -> None:
        self._dsn = dsn
        self._who = who

    @asynccontextmanager
    async def held(self) -> AsyncIterator[asyncio.Task[None]]:
        """The block runs as the executor. The task lent ends, with Lost, only when it no longer is.

        Raises InUse when another process bears the id.
        """
        async with await pool.connect(self._dsn) as tx:
            await self._take(tx)
            await executors.register(tx, self._who)
            task = asyncio.create_task(self._stay(tx))
            try:
                yield task
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        await self._leave()

    async def _take(self, tx: Tx) -> None:
        deadline = asyncio.get_running_loop().time() + TAKE_S
        while not await executors.hold(tx, self._who.executor_id):
            if asyncio.get_running_loop().time() > deadline:
                raise InUse(
                    f"executor {self._who.executor_id} runs already: give another DBOS__VMID"
                )
            await asyncio.sleep(TRY_S)

    async def _stay(self, tx: Tx) -> None:
        """Beat on the session that holds the lock; on a new one whenever it broke."""
        await self._beats(tx)
        while True:
            try:
                async with await pool.connect(self._dsn) as again:
                    await self._take(again)
                    await self._beats(again)
            except InUse as error:
                raise Lost(str(error)) from error
            except AWAY as error:
                log.warning("not present: %s", error)
            await asyncio.sleep(BEAT_S)

    async def _beats(self, tx: Tx) -> None:
        """Return when the session broke. Raises Lost."""
        try:
            while True:
                if not await executors.beat(tx, self._who):
                    raise Lost(f"executor {self._who.executor_id} was declared lost")
                if taken := await executors.take_over(tx, self._who.executor_id):
                    log.warning("took over %s workflows of lost executors", taken)
                await asyncio.sleep(BEAT_S)
        except AWAY as error:
            log.warning("presence interrupted: %s", error)

    async def _leave(self) -> None:
        try:
            async with await pool.connect(self._dsn) as tx:
                await executors.leave(tx, self._who)
        except AWAY as error:
            log.warning("left without a goodbye: %s", error)
