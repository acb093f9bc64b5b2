"""A client of a running engine's HTTP API: one request, one answer, no second try."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from engine.core.canon import Json
from engine.errors import Unanswered, Unreachable

TIMEOUT_S: Final = 30.0
SCHEMES: Final[Mapping[str, type[HTTPConnection]]] = {
    "http": HTTPConnection,
    "https": HTTPSConnection,
}


@dataclass(frozen=True)
class Answer:
    """An answer: its bytes, and as ``body`` their JSON value; None if they are not JSON."""

    status: int
    content: bytes

    @cached_property
    def body(self) -> Any:
        """The value of the content."""
        try:
            return json.loads(self.content)
        except ValueError:
            return None


def address(text: str) -> SplitResult:
    """``text`` as the address of an API, without a slash at the end. Raises ValueError."""
    found = urlsplit(text.rstrip("/"))
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError(f"{text!r} is no address")
    if found.scheme not in SCHEMES or not found.hostname or found.username or found.port == 0:
        raise ValueError(f"{text!r} is not http://HOST:PORT")
    if found.query or found.fragment:
        raise ValueError(f"{text!r} has more than host, port and path")
    return found


class Remote:
    """The API at one address, with one token, if any. Each request has its own connection.

    So it never uses a connection that the server closed before: a request without answer was sent.
    """

    def __init__(self, url: SplitResult, token: bytes | None) -> None:
        self._url = url
        self._headers = {"authorization": f"Bearer {token.decode()}"} if token else {}

    def ask(self, method: str, path: str, body: Mapping[str, Json] | None = None) -> Answer:
        """The answer of any status. Raises Unreachable, or Unanswered after it was sent."""
        connection = self._connect()
        try:
            headers = {**self._headers, "content-type": "application/json"}
            content = None if body is None else json.dumps(body).encode()
            connection.request(method, self._url.path + path, content, headers)
            answer = connection.getresponse()
            return Answer(answer.status, answer.read())
        except (OSError, HTTPException) as error:
            raise Unanswered(f"{self._url.geturl()} gave no answer: {_why(error)}") from error
        finally:
            connection.close()

    def _connect(self) -> HTTPConnection:
        kind = SCHEMES[self._url.scheme]
        connection = kind(self._url.hostname or "", self._url.port, timeout=TIMEOUT_S)
        try:
            connection.connect()
        except OSError as error:
            message = f"nobody answers at {self._url.geturl()}: {_why(error)}"
            raise Unreachable(message) from error
        return connection


def _why(error: Exception) -> str:
    return str(error) or type(error).__name__
