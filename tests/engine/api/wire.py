"""The raw bytes of a connection to an api-shim."""

from __future__ import annotations

import socket
from typing import Self

from tests.engine.shim_process import Shim

LONGEST_WAIT_S = 30


class Wire:
    """One TCP connection; what it does not send is not sent."""

    def __init__(self, shim: Shim) -> None:
        port = shim.http.base_url.port
        self._socket = socket.create_connection(("127.0.0.1", port or 0), timeout=LONGEST_WAIT_S)

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

    def answer(self) -> str:
        """What comes in one piece; empty when the connection was cut off."""
        try:
            return self._socket.recv(65536).decode()
        except ConnectionError:
            return ""

    def until_cut_off(self) -> str:
        """All that comes until the connection is cut off."""
        parts = []
        while part := self.answer():
            parts.append(part)
        return "".join(parts)
