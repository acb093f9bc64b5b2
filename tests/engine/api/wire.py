"""The raw bytes of a connection to an api-shim."""

from __future__ import annotations

import socket
from typing import Self

from tests.engine.shim_process import Shim

LONGEST_WAIT_S = 30


class Wire:
    """One TCP connection; what it does not send is not sent."""

    def __init__(self, shim: Shim, *, receives: int | None = None) -> None:
        self._socket = socket.socket()
        if receives is not None:  # bytes that are taken before anybody reads them
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receives)
        self._socket.settimeout(LONGEST_WAIT_S)
        self._socket.connect(("127.0.0.1", shim.http.base_url.port or 0))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, text: str) -> bool:
        """Whether the bytes could be sent: not on a connection that was cut off."""
        try:
            self._socket.sendall(text.encode())
        except OSError:
            return False
        return True

    @property
    def port(self) -> int:
        """Our end's."""
        found: int = self._socket.getsockname()[1]
        return found

    def answer(self) -> str:
        """What comes in one piece; empty when the connection was cut off."""
        try:
            return self._socket.recv(65536).decode()
        except ConnectionError:
            return ""

    def piece(self) -> str | None:
        """What has come; None for nothing yet, empty when the connection was cut off."""
        self._socket.settimeout(0)
        try:
            return self.answer()
        except BlockingIOError:
            return None
        finally:
            self._socket.settimeout(LONGEST_WAIT_S)

    def count_until(self, size: int) -> int:
        """How much came until it was ``size`` or more; 0 once the connection was cut off."""
        total = 0
        while total < size and (part := self.answer()):
            total += len(part)
        return total

    def until_cut_off(self) -> str:
        """All that comes until the connection is cut off."""
        parts = []
        while part := self.answer():
            parts.append(part)
        return "".join(parts)
