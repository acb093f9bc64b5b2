"""The lease of an executor on its id: lock, heartbeat, takeover of lost executors.

The lease needs both: the lock goes when a process dies, and the heartbeat stops when a process is
frozen. A restart of the server drops every lock, so no executor is declared lost right after it. If
a session is cut off while its process lives, the process has ``MISSED_S`` to take the lock again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from engine.errors import InUse
from engine.store import Tx, executors, pool
from engine.store.executors import FROZEN_S, Identity, Other
from engine.store.pool import AWAY, CANCELED
from engine.store.queue_signals import QueueSignals

log = logging.getLogger(__name__)
BEAT_S: Final = 0.25
MISSED_S: Final = 1.0  # without a lock for this long, the process is gone
TAKE_S: Final = 6.0  # by then a frozen process of this id is declared lost
TRY_S: Final = 0.05


class Lost(Exception):
    """Another executor took over the workflows of this process."""


class Presence:
    """This process as one executor of the database at ``dsn``."""

    def __init__(self, dsn: str, who: Identity, signals: QueueSignals) -> None:
        self._dsn = dsn
        self._who = who
        self._signals = signals
        self._without_lock: dict[str, float] = {}  # others, and when that was first seen

    @asynccontextmanager
    async def hold_lease(self) -> AsyncIterator[asyncio.Task[None]]:
        """Run the block as the executor. The given task ends with Lost if the lease is lost.

        Raises InUse when another process has the id.
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
        """Send heartbeats on the session that holds the lock; open a new session if it breaks."""
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
        """Send heartbeats until the session breaks. Raises Lost."""
        try:
            while True:
                await self._beat(tx)
                await asyncio.sleep(BEAT_S)
        except AWAY as error:
            log.warning("presence interrupted: %s", error)

    async def _beat(self, tx: Tx) -> None:
        """One heartbeat. A canceled statement says nothing of its session, which has the lock."""
        try:
            others = await executors.beat(tx, self._who)
            if others is None:
                raise Lost(f"executor {self._who.executor_id} was declared lost")
            for other in self._find_suspects(others):
                await self._take_over(tx, other)
        except CANCELED as error:
            log.warning("a heartbeat was canceled: %s", error)

    def _find_suspects(self, others: Sequence[Other]) -> list[str]:
        """The executors without a lock for a while, and those whose heartbeat stopped."""
        now, since = asyncio.get_running_loop().time(), self._without_lock
        free = [other.executor_id for other in others if other.silent_s is None]
        self._without_lock = {name: since.get(name, now) for name in free}
        gone = [name for name, began in self._without_lock.items() if now - began >= MISSED_S]
        frozen = [each.executor_id for each in others if (each.silent_s or 0) > FROZEN_S]
        return gone + frozen

    async def _take_over(self, tx: Tx, other: str) -> None:
        if taken := await executors.take_over(tx, other):
            log.warning("took over %s workflows of the lost executor %s", taken, other)
            self._signals.send()

    async def _leave(self) -> None:
        try:
            async with await pool.connect(self._dsn) as tx:
                await executors.leave(tx, self._who)
        except AWAY as error:
            log.warning("left without a goodbye: %s", error)
