"""One LISTEN connection on one channel, kept up for ever."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final, LiteralString

from psycopg import Error

from engine.store import pool

log = logging.getLogger(__name__)
RETRY_S: Final = 0.25


class Channel:
    """``hear`` gets each payload; ``wake`` is called when something may have been missed.

    ``listen`` is the whole statement. While ``listening`` is false notices pass unheard.
    """

    def __init__(
        self, dsn: str, listen: LiteralString, hear: Callable[[str], None], wake: Callable[[], None]
    ) -> None:
        self._dsn = dsn
        self._listen = listen
        self._hear = hear
        self._wake = wake
        self.listening = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listens in the background until left."""
        task = asyncio.create_task(self._listen_for_ever())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _listen_for_ever(self) -> None:
        while True:
            try:
                await self._hear_all()
            except Error as error:
                log.warning("%s: not heard for now: %s", self._listen, error)
            finally:
                self.listening = False
                self._wake()
            await asyncio.sleep(RETRY_S)

    async def _hear_all(self) -> None:
        async with await pool.connect(self._dsn) as connection:
            await connection.execute(self._listen)
            self.listening = True
            self._wake()
            async for notice in connection.notifies():
                self._hear(notice.payload)
