"""Wakes waiters when a workflow ends, without queries while nothing happens."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Final

from engine.store import workflows
from engine.store.channel import Listener
from engine.store.pool import Pool

LOOK_AGAIN_S: Final = 2.0  # in case a notice is lost


class Endings:
    """The awaited workflows of this process. One look serves all waiters."""

    def __init__(self, dsn: str, pool: Pool, look_again_s: float = LOOK_AGAIN_S) -> None:
        self._pool = pool
        self._awaited: dict[str, set[asyncio.Event]] = {}
        channel = dsn, "LISTEN spec11_endings"
        self._listener = Listener(channel, self._notify_end, self._look, look_again_s)

    def running(self) -> AbstractAsyncContextManager[None]:
        """Listen and look in the background until the block ends."""
        return self._listener.running()

    async def wait(self, workflow_id: str) -> None:
        """Return when the workflow has ended, now or before."""
        event, waiting = asyncio.Event(), self._awaited.setdefault(workflow_id, set())
        waiting.add(event)
        try:
            while not await self._pool.insist(workflows.find_ended, [workflow_id]):
                await event.wait()
                event.clear()
        finally:
            waiting.discard(event)
            if not waiting and self._awaited.get(workflow_id) is waiting:
                del self._awaited[workflow_id]

    async def _look(self) -> None:
        if self._awaited:
            for workflow_id in await self._pool.insist(workflows.find_ended, [*self._awaited]):
                self._notify_end(workflow_id)

    def _notify_end(self, workflow_id: str) -> None:
        for event in self._awaited.get(workflow_id, ()):
            event.set()
