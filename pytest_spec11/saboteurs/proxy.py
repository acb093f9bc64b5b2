"""A proxy between prover and target: what it carries, a lie may change on the way.

It runs in a thread of its own and streams what is not lied about: bodies of requests as they are
sent, replies in chunks as they come, long polls for as long as they take.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import cached_property
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from typing_extensions import override

from pytest_spec11.addresses import Address
from pytest_spec11.saboteurs.wire import (
    HEAD_LIMIT,
    Head,
    Reply,
    body_from,
    has_body,
    head_from,
    status_of,
    whole,
)

_DRAIN_S: Final = 10.0
_LATE_S: Final = 0.2  # a body that was taken whole has been sent on by then
_BROKEN: Final = (
    OSError,
    ValueError,
    asyncio.IncompleteReadError,
    asyncio.LimitOverrunError,
)


class Exchange(Protocol):
    """One request under way, as a lie sees it."""

    method: str
    path: str
    head: Head
    target: Address

    async def body(self) -> bytes:
        """The body of the request, waited for."""
        ...

    async def forward(self, body: bytes | None = None, *, path: str = "") -> Reply:
        """The target's reply to the request, or to one with another body or path."""
        ...


Lie = Callable[[Exchange], Coroutine[Any, Any, Reply]]


class Refused(Exception):
    """The target took no connection, or ended it: the prover's one is ended too."""


class Ear(asyncio.StreamReader):
    """A reader that tells when the other side has gone."""

    def __init__(self) -> None:
        super().__init__(limit=HEAD_LIMIT)
        self.ended = asyncio.Event()

    @override
    def feed_eof(self) -> None:
        """The other side has gone."""
        super().feed_eof()
        self.ended.set()


class Link(Protocol):
    """One connection: what the other side sends, and what it is sent."""

    reader: asyncio.StreamReader

    async def send(self, data: bytes) -> None:
        """The bytes are on their way."""
        ...

    def close(self) -> None:
        """The connection ends."""
        ...


class Heard:
    """A connection that the prover made."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        """The bytes are on their way."""
        self._writer.write(data)
        await self._writer.drain()

    def close(self) -> None:
        """The connection ends."""
        self._writer.close()


class Dialled:
    """A connection to the target.

    What the target said before it hung up is heard, even when it hung up while it was being sent
    something: a transport of asyncio would throw that away.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.reader = asyncio.StreamReader(limit=HEAD_LIMIT)
        self._sock = sock
        self._hearing = asyncio.ensure_future(self._hear())

    async def send(self, data: bytes) -> None:
        """The bytes are on their way."""
        await asyncio.get_running_loop().sock_sendall(self._sock, data)

    async def _hear(self) -> None:
        with suppress(OSError):
            while piece := await asyncio.get_running_loop().sock_recv(self._sock, HEAD_LIMIT):
                self.reader.feed_data(piece)
        self.reader.feed_eof()

    def close(self) -> None:
        """The connection ends."""
        self._hearing.cancel()
        _let_go(self._sock)


def _let_go(sock: socket.socket) -> None:
    """Close what the loop may still wait for.

    It has to forget the number first: the next connection gets the same, and would be waited for
    as if it were this one, which fails.
    """
    loop = asyncio.get_running_loop()
    loop.remove_reader(sock)
    loop.remove_writer(sock)
    sock.close()


class Carried:
    """A request of one connection, carried to the target at most once as it came."""

    def __init__(self, head: Head, prover: Link, proxy: Proxy) -> None:
        self.head = head
        self.method, self.path = (*head.first.split(" "), "", "")[:2]
        self._prover = prover
        self._proxy = proxy
        self.target = proxy.target
        self._read: bytes | None = None
        self.drained = head.length == 0

    async def body(self) -> bytes:
        """The body of the request, waited for."""
        if self._read is None:
            self._read = b"" if self.drained else await self._whole()
        return self._read

    async def _whole(self) -> bytes:
        await self._invite()
        read = await whole(self._prover.reader, self.head.length)
        self.drained = True
        return read

    async def _invite(self) -> None:
        if self.head.value("expect"):
            await self._prover.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    async def forward(self, body: bytes | None = None, *, path: str = "") -> Reply:
        """The target's reply, whole."""
        target = await self._proxy.dial()
        try:
            head = await self.begin(target, body, path)
            status, length = status_of(head), head.length
            if not has_body(self.method, status):
                return Reply(status, head)
            return Reply(status, head, await whole(target.reader, length))
        except _BROKEN as error:
            raise Refused from error
        finally:
            target.close()

    async def begin(self, target: Link, body: bytes | None = None, path: str = "") -> Head:
        """The head of the target's reply; it may come before all of the body was sent."""
        head = self.head.using("connection", "close")
        if path:
            head = Head(head.first.replace(self.path, path, 1), head.lines)
        if body is None and self._read is not None:
            body = self._read
        if body is not None:
            framed = head.frame_body(len(body)) if body or self.head.length != 0 else head
            await target.send(bytes(framed) + body)
            return await _reply_head(target)
        await target.send(bytes(head))
        sending = asyncio.ensure_future(self._stream(target))
        try:
            return await _reply_head(target)
        finally:
            await asyncio.wait({sending}, timeout=_LATE_S)
            sending.cancel()

    async def _stream(self, target: Link) -> None:
        """The request's body as it comes, to its end or to that of the connection."""
        if self.drained:
            return
        await self._invite()
        with suppress(*_BROKEN):
            async for piece in body_from(self._prover.reader, self.head.length):
                await target.send(piece)
            self.drained = True

    async def drain(self) -> None:
        """What the target did not want to hear is taken, so that the prover hears the reply."""
        with suppress(TimeoutError, *_BROKEN):
            async with asyncio.timeout(_DRAIN_S):
                while await self._prover.reader.read(HEAD_LIMIT):
                    pass


async def _reply_head(target: Link) -> Head:
    while (head := await head_from(target.reader)) is not None:
        if status_of(head) >= 200:  # noqa: PLR2004  # what comes before is no answer yet
            return head
    raise ConnectionResetError


class Proxy:
    """One port of the loopback interface in front of the base URL of one address."""

    def __init__(self, target: Address, lie: Lie, wants: Callable[[str, str], bool]) -> None:
        self.target = target
        self._upstream = urlsplit(target.base_url)
        self._lie = lie
        self._wants = wants
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._run, name=f"proxy of {target.base_url}", daemon=True
        )
        self._links: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._thread.start()

    @cached_property
    def url(self) -> str:
        """Where the prover dials in place of the target."""
        listening = asyncio.run_coroutine_threadsafe(self._listen(), self._loop)
        return f"http://127.0.0.1:{listening.result()}"

    async def _listen(self) -> int:
        server = await self._loop.create_server(
            lambda: asyncio.StreamReaderProtocol(Ear(), self._serve_connection),
            "127.0.0.1",
            0,
            backlog=1024,
        )
        self._server = server
        port: int = server.sockets[0].getsockname()[1]
        return port

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    async def dial(self) -> Link:
        """A connection to the target. Raises Refused."""
        place = (self._upstream.hostname or "", self._upstream.port or 80)
        sock = socket.socket()
        sock.settimeout(0)
        try:
            await self._loop.sock_connect(sock, place)
        except OSError as error:
            _let_go(sock)
            raise Refused from error
        except asyncio.CancelledError:
            _let_go(sock)
            raise
        return Dialled(sock)

    async def _serve_connection(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """One connection of the prover, to its end."""
        task = asyncio.current_task()
        assert task is not None and isinstance(reader, Ear)  # noqa: PT018, S101  # as listened for
        self._links.add(task)
        try:
            while await self._serve_exchange(Heard(reader, writer), reader.ended):
                pass
        except (Refused, asyncio.CancelledError, *_BROKEN):
            writer.transport.abort()
        finally:
            self._links.discard(task)
            writer.close()

    async def _serve_exchange(self, prover: Link, ended: asyncio.Event) -> bool:
        """Whether another request may follow; a prover that goes ends the one under way."""
        exchange = asyncio.ensure_future(self._exchange(prover))
        going = asyncio.ensure_future(ended.wait())
        try:
            await asyncio.wait({exchange, going}, return_when=asyncio.FIRST_COMPLETED)
            return exchange.done() and exchange.result()
        finally:
            exchange.cancel()
            going.cancel()

    async def _exchange(self, prover: Link) -> bool:
        """Whether another request may follow on this connection."""
        head = await head_from(prover.reader)
        if head is None:
            return False
        request = Carried(head, prover, self)
        if self._wants(request.method, request.path):
            await prover.send(bytes(await self._lie(request)))
        else:
            await self._relay(request, prover)
        if not request.drained:
            await request.drain()
        return request.drained and not head.last

    async def _relay(self, request: Carried, prover: Link) -> None:
        """The reply as it comes, piece by piece."""
        target = await self.dial()
        try:
            head = await request.begin(target)
            await prover.send(bytes(head))
            if has_body(request.method, status_of(head)):
                async for piece in body_from(target.reader, head.length):
                    await prover.send(piece)
        finally:
            target.close()

    def close(self) -> None:
        """The port and every connection are gone."""
        if self._server is not None:
            asyncio.run_coroutine_threadsafe(self._end(self._server), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self, server: asyncio.Server) -> None:
        server.close()
        for task in self._links:
            task.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)
