"""Hundreds of long polls at once; each costs one socket."""

from __future__ import annotations

import json
import selectors
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

CONNECT_S = 10.0
HEAD = "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True)
class Ended:
    """One answered poll: the answer, and its time by the machine's clock."""

    path: str
    status: int
    body: Any
    at_s: float


class Polls:
    """Open polls. A connection is one poll, and the server's answer ends both."""

    def __init__(self, base_url: str) -> None:
        parts = urlsplit(base_url)
        self._place = (parts.hostname or "", parts.port or 80)
        self._selector = selectors.DefaultSelector()

    def open(self, path: str, lines: ExitStack) -> None:
        """Send one more poll; ``lines`` closes its connection."""
        line = lines.enter_context(socket.create_connection(self._place, timeout=CONNECT_S))
        line.sendall(HEAD.format(path=path, host=self._place[0]).encode())
        self._selector.register(line, selectors.EVENT_READ, path)

    @property
    def waiting(self) -> int:
        """The number of polls without a received answer."""
        return len(self._selector.get_map())

    def collect_answers(self, within_s: float, *, most: int) -> list[Ended]:
        """The polls answered within the time, at most ``most``; 0 s: those answered already."""
        until = time.monotonic() + within_s
        found: list[Ended] = []
        while len(found) < most:
            ready = self._selector.select(max(0.0, until - time.monotonic()))
            if not ready:
                break
            at_s = time.time()
            found += [self._read_answer(key, at_s) for key, _ in ready]
        return found

    def _read_answer(self, key: selectors.SelectorKey, at_s: float) -> Ended:
        """Read this connection until the server closes it."""
        self._selector.unregister(key.fileobj)
        line = key.fileobj
        assert isinstance(line, socket.socket)
        said = b"".join(iter(lambda: line.recv(65536), b""))
        head, _, body = said.partition(b"\r\n\r\n")
        return Ended(key.data, int(head.split(b" ", 2)[1]), json.loads(body), at_s)

    def close(self) -> None:
        """Close the selector."""
        self._selector.close()


@contextmanager
def polling(base_url: str, paths: Sequence[str]) -> Iterator[Polls]:
    """Poll every path while the block runs."""
    polls = Polls(base_url)
    with ExitStack() as lines:
        lines.callback(polls.close)
        for path in paths:
            polls.open(path, lines)
        yield polls
