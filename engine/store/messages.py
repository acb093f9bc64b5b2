"""Wakes workflows that wait for a message, also for one that came while nobody listened.

The durable engine listens too. But after a loss of its connection it does not look for messages
that came meanwhile. Then each waiting workflow finds its message itself, up to a minute later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

from engine.store import workflows
from engine.store.channel import Listener
from engine.store.pool import Pool

LOOK_AGAIN_S: Final = 60.0  # in case a notice is lost in another way


class Receivers(Protocol):
    """The workflows of this process that wait for messages."""

    def find_waiting(self) -> Mapping[str, str]:
        """The ids of waiting workflows, by the key of the awaited message."""

    def wake(self, key: str) -> None:
        """Let the workflow that waits under the key look for its message."""


class Messages:
    """One LISTEN connection, and one query for all waiting workflows when a notice may be lost."""

    def __init__(
        self, dsn: str, pool: Pool, receivers: Receivers, look_again_s: float = LOOK_AGAIN_S
    ) -> None:
        self._pool = pool
        self._receivers = receivers
        self._loop = asyncio.get_running_loop()
        channel = dsn, "LISTEN dbos_notifications_channel"
        self._listener = Listener(channel, receivers.wake, self._look, look_again_s)

    def request_look(self) -> None:
        """Look soon, because a workflow's own look may have failed. Any thread may call it."""
        self._loop.call_soon_threadsafe(self._listener.request_look)

    def running(self) -> AbstractAsyncContextManager[None]:
        """Listen and look in the background until the block ends."""
        return self._listener.running()

    async def _look(self) -> None:
        if waiting := self._receivers.find_waiting():
            for key in await self._pool.insist(workflows.find_undelivered, [*{*waiting.values()}]):
                self._receivers.wake(key)
