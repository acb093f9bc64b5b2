"""A transport that sends all writes of one turn of the event loop together."""

from __future__ import annotations

import asyncio
from typing import Any

from typing_extensions import override


class JoiningTransport(asyncio.Transport):
    """Sends head and body of an answer as one packet, by one system call and not two."""

    def __init__(self, inner: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._inner = inner
        self._loop = loop
        self._held: list[bytes | bytearray | memoryview[Any]] = []

    @override
    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        if not self._held:
            self._loop.call_soon(self._send)
        self._held.append(data)

    @override
    def close(self) -> None:
        self._send()
        self._inner.close()

    @override
    def abort(self) -> None:
        self._held.clear()
        self._inner.abort()

    @override
    def is_closing(self) -> bool:
        return self._inner.is_closing()

    @override
    def get_write_buffer_size(self) -> int:
        return sum(map(len, self._held)) + self._inner.get_write_buffer_size()

    @override
    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._inner.get_extra_info(name, default)

    @override
    def pause_reading(self) -> None:
        self._inner.pause_reading()

    @override
    def resume_reading(self) -> None:
        self._inner.resume_reading()

    def _send(self) -> None:
        held, self._held = self._held, []
        if held and not self._inner.is_closing():
            self._inner.write(b"".join(held))
