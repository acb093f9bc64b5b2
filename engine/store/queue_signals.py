"""Signals to the workers that something was enqueued, after the transaction that did it.

A NOTIFY inside that transaction would be simpler but costs too much: Postgres commits only one
notifying transaction at a time, with its write to disk. A lost signal only costs the time until the
workers look by themselves.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from psycopg import AsyncConnection, Error

from engine.store import pool
from engine.store.background_task import run_in_background

log = logging.getLogger(__name__)
GAP_S: Final = 0.01  # between two signals; everything enqueued meanwhile shares the next one
NOTIFY: Final = "NOTIFY spec11_queues"


class QueueSignals:
    """One connection for all enqueues of this process."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._wanted = asyncio.Event()
        self._line: AsyncConnection[Any] | None = None

    def send(self) -> None:
        """Let the workers look soon. Call it on the event loop of ``running``."""
        self._wanted.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send signals in the background until the block ends."""
        try:
            async with run_in_background(self._send_for_ever()):
                yield
        finally:
            await self._close()

    async def _send_for_ever(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                await self._notify()
            except Error as error:
                log.warning("workers are not told of what was enqueued: %s", error)
            await asyncio.sleep(GAP_S)

    async def _notify(self) -> None:
        """Send the signal, over a new connection if the old one broke."""
        if self._line is not None:
            try:
                await self._line.execute(NOTIFY)
            except Error:
                await self._close()
            else:
                return
        self._line = await pool.connect(self._dsn)
        await self._line.execute(NOTIFY)

    async def _close(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            await line.close()
