"""Wakes those who wait for a workflow to end, without a query while nothing happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from engine.store import workflows
from engine.store.channel import Channel
from engine.store.pool import Pool

LOOK_AGAIN_S: Final = 2.0  # should a notice ever be missed


class Endings:
    """Whose end is waited for in this process."""

    def __init__(self, dsn: str, pool: Pool) -> None:
        self._pool = pool
        self._awaited: dict[str, set[asyncio.Event]] = {}
        self._channel = Channel(dsn, "LISTEN spec11_endings", self._ended, self._wake_all)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listens in the background until left."""
        async with self._channel.running():
            yield

    async def wait(self, workflow_id: str) -> None:
        """Return when the workflow has ended, now or before."""
        event, waiting = asyncio.Event(), self._awaited.setdefault(workflow_id, set())
        waiting.add(event)
        try:
            while not await self._pool.insist(workflows.has_ended, workflow_id):
                event.clear()
                await self._noticed(event)
        finally:
            waiting.discard(event)
            if not waiting and self._awaited.get(workflow_id) is waiting:
                del self._awaited[workflow_id]

    async def _noticed(self, event: asyncio.Event) -> None:
        try:
            async with asyncio.timeout(LOOK_AGAIN_S):
                await event.wait()
        except TimeoutError:
            return

    def _ended(self, workflow_id: str) -> None:
        for event in self._awaited.get(workflow_id, ()):
            event.set()

    def _wake_all(self) -> None:
        for workflow_id in self._awaited:
            self._ended(workflow_id)
