"""HTTP/1.1 as bytes on a connection: heads, and bodies in whatever way their heads frame them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Final

HEAD_LIMIT: Final = 256 * 1024
_CHUNK: Final = 64 * 1024
_END: Final = b"\r\n\r\n"
_BODYLESS: Final = frozenset({204, 304})
_OF_FRAMING: Final = frozenset({"content-length", "transfer-encoding"})


@dataclass(frozen=True)
class Head:
    """A first line and the header lines behind it, as they were sent."""

    first: str
    lines: tuple[str, ...] = ()

    def __bytes__(self) -> bytes:
        return "\r\n".join((self.first, *self.lines, "", "")).encode("latin-1")

    def value(self, name: str) -> str:
        """The value of the header of that lower-case name; empty when there is none."""
        for line in self.lines:
            key, _, value = line.partition(":")
            if key.strip().lower() == name:
                return value.strip()
        return ""

    def using(self, name: str, value: str) -> Head:
        """The same with this header, and no other of that lower-case name."""
        return replace(self, lines=(*self._without({name}), f"{name}: {value}"))

    def frame_body(self, length: int) -> Head:
        """The same for a body of that many bytes."""
        return replace(self, lines=(*self._without(_OF_FRAMING), f"content-length: {length}"))

    def _without(self, names: frozenset[str] | set[str]) -> tuple[str, ...]:
        return tuple(
            line for line in self.lines if line.partition(":")[0].strip().lower() not in names
        )

    @property
    def length(self) -> int | None:
        """The bytes of the body that follows; None when it comes in chunks."""
        if "chunked" in self.value("transfer-encoding").lower():
            return None
        told = self.value("content-length")
        return int(told) if told.isdigit() else 0

    @property
    def last(self) -> bool:
        """Whether the connection ends with this message."""
        return "close" in self.value("connection").lower()


@dataclass
class Reply:
    """What came back, whole: a lie changes ``status``, ``head`` or ``body``."""

    status: int
    head: Head = field(default_factory=lambda: Head(""))
    body: bytes = b""

    def __bytes__(self) -> bytes:
        head = replace(self.head, first=f"HTTP/1.1 {self.status} -").frame_body(len(self.body))
        return bytes(head) + self.body


async def head_from(reader: asyncio.StreamReader) -> Head | None:
    """The next head; None when the connection ended before one began."""
    try:
        raw = await reader.readuntil(_END)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    first, *lines = raw[: -len(_END)].decode("latin-1").split("\r\n")
    return Head(first, tuple(lines))


async def body_from(reader: asyncio.StreamReader, length: int | None) -> AsyncIterator[bytes]:
    """The bytes of a body as they come, their framing included; nothing is waited for after it.

    Raises asyncio.IncompleteReadError when the connection ends within it.
    """
    if length is None:
        while True:
            size = await reader.readuntil(b"\r\n")
            count = int(size.split(b";")[0], 16)
            yield size + await reader.readexactly(count + 2)
            if count == 0:
                return
    left = length or 0
    while left:
        piece = await reader.read(min(left, _CHUNK))
        if not piece:
            raise asyncio.IncompleteReadError(b"", left)
        left -= len(piece)
        yield piece


async def whole(reader: asyncio.StreamReader, length: int | None) -> bytes:
    """The body without its framing."""
    pieces = [piece async for piece in body_from(reader, length)]
    if length is None:
        pieces = [piece.partition(b"\r\n")[2][:-2] for piece in pieces]
    return b"".join(pieces)


def status_of(head: Head) -> int:
    """The status in the first line of a reply. Raises ValueError."""
    return int(head.first.split(" ")[1])


def has_body(method: str, status: int) -> bool:
    """Whether a body may follow the head of such a reply."""
    return method != "HEAD" and status not in _BODYLESS
