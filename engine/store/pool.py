"""A pool of connections, each lent for one request, with a limit on every wait.

The pool opens connections on demand. While Postgres is away a request fails at once, and the first
request after its return succeeds: there is no back-off. At checkout the pool notices, without a
round trip, a connection that broke while it was idle.
"""

from __future__ import annotations

import asyncio
import logging
import select
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from psycopg import AsyncConnection, InterfaceError, OperationalError
from psycopg.errors import QueryCanceled
from psycopg.pq import TransactionStatus
from psycopg.types.json import set_json_loads

from engine.core.canon import reread
from engine.store import Tx

log = logging.getLogger(__name__)
CONNECT_S: Final = 2
DEADLINE_S: Final = 4.0
PAUSES_S: Final = (0.05, 0.1, 0.2, 0.5, 1.0)  # between tries while the database is away
AWAY: Final = (OperationalError, InterfaceError, TimeoutError)
CANCELED: Final = QueryCanceled  # one statement, by somebody else; its session is whole
P = ParamSpec("P")
T = TypeVar("T")


class Pool:
    """At most ``size`` connections to ``dsn``. Each loan, with its wait, has a deadline."""

    def __init__(self, dsn: str, size: int = 8, deadline_s: float = DEADLINE_S) -> None:
        self._dsn = dsn
        self._deadline_s = deadline_s
        self._free = asyncio.Semaphore(size)
        self._idle: list[AsyncConnection[Any]] = []

    @asynccontextmanager
    async def connection(self, deadline_s: float | None = None) -> AsyncIterator[Tx]:
        """A connection in autocommit. Raises OperationalError or TimeoutError past the deadline."""
        loop = asyncio.get_running_loop()
        left_s = self._deadline_s if deadline_s is None else deadline_s
        deadline = loop.time() + left_s
        await self._turn(left_s)
        try:
            async with self._lend_connection(deadline) as lent:
                yield lent
        finally:
            self._free.release()

    async def insist(
        self, work: Callable[Concatenate[Tx, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """The result of ``work``, which is repeated as long as the database is away.

        Its time begins when its turn comes. Use it only for work that may be repeated, because a
        lost answer may have been a commit.
        """
        loop, tries = asyncio.get_running_loop(), 0
        while True:
            try:
                async with self._free, self._lend_connection(loop.time() + self._deadline_s) as tx:
                    return await work(tx, *args, **kwargs)
            except AWAY as error:
                pause = PAUSES_S[min(tries, len(PAUSES_S) - 1)]
                log.warning("%s waits for the database: %s", work.__qualname__, error)
            tries += 1
            await asyncio.sleep(pause)

    async def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            await self._idle.pop().close()

    @asynccontextmanager
    async def _lend_connection(self, deadline: float) -> AsyncIterator[AsyncConnection[Any]]:
        """A connection for the caller whose turn it is; it is cut at the deadline."""
        lent = self._take_idle() or await self._open_connection(deadline)
        timer = asyncio.get_running_loop().call_at(deadline, _sever, lent)
        try:
            yield lent
        finally:
            timer.cancel()
            await self._return_connection(lent)

    async def _turn(self, deadline_s: float) -> None:
        if self._free.locked():
            async with asyncio.timeout(deadline_s):
                await self._free.acquire()
        else:
            await self._free.acquire()

    def _take_idle(self) -> AsyncConnection[Any] | None:
        while self._idle:
            if _is_quiet(found := self._idle.pop()):
                return found
            found.pgconn.finish()
        return None

    async def _open_connection(self, deadline: float) -> AsyncConnection[Any]:
        async with asyncio.timeout_at(deadline):
            return await connect(self._dsn, max(CONNECT_S, int(self._deadline_s / 2)))

    async def _return_connection(self, lent: AsyncConnection[Any]) -> None:
        if lent.pgconn.transaction_status == TransactionStatus.IDLE:
            self._idle.append(lent)
        else:
            await lent.close()


async def connect(dsn: str, timeout_s: int = CONNECT_S) -> AsyncConnection[Any]:
    """A connection outside of a pool, in autocommit. Raises OperationalError without an answer."""
    made: AsyncConnection[Any] = await AsyncConnection.connect(
        dsn, autocommit=True, prepare_threshold=0, connect_timeout=timeout_s
    )
    set_json_loads(reread, made)
    return made


def _is_quiet(lent: AsyncConnection[Any]) -> bool:
    """Whether the server sent nothing; what it sends to an idle connection is its end."""
    try:
        waiting = select.poll()
        waiting.register(lent.fileno(), select.POLLIN)
    except OperationalError:
        return False
    return not waiting.poll(0)


def _sever(lent: AsyncConnection[Any]) -> None:
    """Cut the connection of a statement that takes too long: it fails with its transaction."""
    if lent.closed:
        return
    line = socket.socket(fileno=lent.fileno())
    try:
        line.shutdown(socket.SHUT_RDWR)
    finally:
        line.detach()
