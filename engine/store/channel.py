"""One permanent LISTEN connection on a channel, and a look for changes without a notice."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final, LiteralString

from psycopg import Error

from engine.store import pool
from engine.store.background_task import run_in_background

log = logging.getLogger(__name__)
RETRY_S: Final = 0.25


class Channel:
    """``hear`` gets each payload; ``wake`` is called when a notice may be lost.

    ``listen`` is the whole statement. While ``listening`` is false, notices are lost.
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
        """Listen in the background until the block ends."""
        async with run_in_background(self._listen_for_ever()):
            yield

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


class Listener:
    """A channel, and ``look``, which finds changes in the database that came without a notice.

    It looks after each connect, after each loss of the connection, on request, and every
    ``look_again_s`` in case a notice is lost in another way.
    """

    def __init__(
        self,
        channel: tuple[str, LiteralString],
        hear: Callable[[str], None],
        look: Callable[[], Awaitable[None]],
        look_again_s: float,
    ) -> None:
        self._missed = asyncio.Event()
        self._channel = Channel(*channel, hear, self._missed.set)
        self._look = look
        self._look_again_s = look_again_s

    def request_look(self) -> None:
        """Look soon. Call it on the event loop of this listener."""
        self._missed.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listen and look in the background until the block ends."""
        async with run_in_background(self._look_for_ever()), self._channel.running():
            yield

    async def _look_for_ever(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._look_again_s):
                    await self._missed.wait()
            self._missed.clear()
            await self._look()
