"""A client's connection, with limits on the size of a head, slow clients, and their number."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from typing_extensions import override
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from engine.api.transport import JoiningTransport
from engine.contracts.errors import Refusal

HEAD_S: Final = 10.0
TAKE_S: Final = 10.0  # without a byte that the client took of an answer that is too large to keep
MAX_HEAD: Final = 32 * 1024
MAX_HEADERS: Final = 100
UNREADABLE: Final = Refusal(error="invalid request", code="invalid_request")
TOO_LARGE: Final = Refusal(error="head too large", code="head_too_large")
TOO_SLOW: Final = Refusal(error="head too slow", code="head_too_slow")


def _require_readable(version: str, headers: Sequence[tuple[bytes, bytes]]) -> None:
    """Raises ValueError for a request without exactly one host, or with an unknown coding.

    RFC 9112, 3.2 and 6.1. In an unknown coding nobody can tell where the body ends.
    """
    names = [name for name, _ in headers]
    if names.count(b"host") > 1 or (version == "1.1" and b"host" not in names):
        raise ValueError("not one host")
    codings = [value.strip().lower() for name, value in headers if name == b"transfer-encoding"]
    if codings not in ([], [b"chunked"]):
        raise ValueError("unknown transfer coding")


class Connection(HttpToolsProtocol):
    """Ends if the next head is too large or too slow, or if the client does not take its answers.

    The setting ``limit_concurrency`` limits the number of connections. One more ends the connection
    that has been without a request the longest, so idle connections never keep a client out.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._most = self.limit_concurrency
        self.limit_concurrency = None  # otherwise the base class answers with a text of its own
        self._deadline: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None
        self._idle_since = self.loop.time()
        self._unsent = 0  # bytes that the client had not taken at the last check
        self._unread = 0  # bytes since the last complete part of a request
        self._wants_head = True
        self._fault = UNREADABLE

    @property
    def is_idle(self) -> bool:
        """Whether it waits for the next request."""
        return self._deadline is not None and not self.transport.is_closing()

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the base has it
        super().connection_made(JoiningTransport(transport, self.loop))
        self._await_head()
        if self._most is not None and len(self.connections) > self._most:
            self._make_room(self._most)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._stop_looking()
        super().connection_lost(exc)

    @override
    def data_received(self, data: bytes) -> None:
        self._unread += len(data)
        try:
            self._unset_keepalive_if_required()
            self.parser.feed_data(data)
        except HttpParserError:
            self._refuse(self._fault)
        except HttpParserUpgrade as offer:
            self._decline_upgrade(data[offer.args[0] :])
        if self._unread > MAX_HEAD and not self.transport.is_closing():
            self._refuse(TOO_LARGE)

    def _decline_upgrade(self, rest: bytes) -> None:
        """Go on in HTTP/1.1, as a server may (RFC 9110, 7.8): read the following bytes as before.

        The parser takes the upgrade as accepted and the body as not HTTP. So another parser reads
        the head again, without the upgrade.
        """
        method, url, headers = self.parser.get_method(), self.url, self.headers
        if method == b"CONNECT":
            self._refuse(UNREADABLE)
            return
        lines = [b"%b: %b\r\n" % (name, value) for name, value in headers if name != b"upgrade"]
        self.parser = HttpRequestParser(self)
        self._unread -= len(rest)  # it is counted again
        self.data_received(b"%b %b HTTP/1.1\r\n%b\r\n" % (method, url, b"".join(lines)) + rest)

    @override
    def on_headers_complete(self) -> None:
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > MAX_HEAD or len(self.headers) > MAX_HEADERS:
            self._fault = TOO_LARGE
            raise ValueError(TOO_LARGE.error)  # the parser stops, and a refusal is sent
        if self.parser.should_upgrade():
            return
        self._fault = UNREADABLE
        _require_readable(self.parser.get_http_version(), self.headers)
        self._wants_head, self._unread = False, 0
        self._stop_waiting()
        super().on_headers_complete()

    @override
    def on_body(self, body: bytes) -> None:
        self._unread = 0
        super().on_body(body)

    @override
    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        self._wants_head, self._unread = True, 0
        super().on_message_complete()

    @override
    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.expect_100_continue and self.cycle.more_body:
            self.transport.close()  # no handler asked for the body, so it may never come
        elif self.cycle.response_complete:  # otherwise the next request of a pipeline has begun
            self._await_head()

    @override
    def pause_writing(self) -> None:
        super().pause_writing()
        self._look_later()

    @override
    def resume_writing(self) -> None:
        self._stop_looking()
        super().resume_writing()

    def _await_head(self) -> None:
        self._stop_waiting()
        self._idle_since = self.loop.time()
        self._deadline = self.loop.call_later(HEAD_S, self._overdue)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _look_later(self) -> None:
        self._stop_looking()
        self._unsent = self.transport.get_write_buffer_size()
        self._stall = self.loop.call_later(TAKE_S, self._check_deadlines)

    def _check_deadlines(self) -> None:
        if self.transport.get_write_buffer_size() < self._unsent:
            self._look_later()
        else:
            self.transport.abort()

    def _stop_looking(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def _overdue(self) -> None:
        """End the connection, unless the client still takes the last answer."""
        if self.flow.write_paused:
            self._await_head()
        elif self._unread and self.is_idle:
            self._refuse(TOO_SLOW)
        else:
            self.transport.abort()

    def _refuse(self, refusal: Refusal) -> None:
        """Send the reason, unless a request is under way or the client takes nothing; close."""
        can_speak = self.is_idle and self._wants_head
        if not can_speak or self.transport.get_write_buffer_size():
            self.transport.abort()
            return
        body = refusal.model_dump_json(exclude_unset=True).encode()
        head = (
            f"HTTP/1.1 {HTTPStatus.BAD_REQUEST:d} Bad Request\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()

    def _make_room(self, most: int) -> None:
        """Close the connection that waited longest if there are too many; it may be this one."""
        alive = [each for each in self.connections if not each.transport.is_closing()]
        idle = [each for each in alive if isinstance(each, Connection) and each.is_idle]
        if len(alive) > most:
            min(idle, key=lambda each: each._idle_since).transport.abort()  # noqa: SLF001  # of our own kind
