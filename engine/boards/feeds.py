"""Asks the operations of the API in this process: a page has their rules, errors and JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.types import Message

from engine.api import routing
from engine.api.http import Handler, answer_request
from engine.api.routes import OPERATIONS

COOKIE: Final = "spec11_token"
_BODY_HEADERS: Final = frozenset({b"content-length", b"content-type", b"transfer-encoding"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What an operation answered: its status, and its JSON."""

    status: int
    data: Any

    @property
    def is_ok(self) -> bool:
        """Whether the operation did what it was asked."""
        return self.status < HTTPStatus.BAD_REQUEST

    @property
    def rows(self) -> list[Any]:
        """The rows of a list; none if the operation refused."""
        return self.data if self.is_ok and isinstance(self.data, list) else []


async def ask(
    request: Request,
    operation: tuple[str, str],
    *,
    query: Mapping[str, str] | None = None,
    body: bytes = b"",
    **path: str,
) -> Answer:
    """Ask the operation (method, path) with the credentials of the page's own request."""
    method, _ = operation
    scope = {
        **request.scope,
        "method": method,
        "path_params": path,
        "query_string": urlencode(query or {}).encode(),
        "headers": [*_list_headers(request), (b"content-length", b"%d" % len(body))],
        "state": {},
    }
    sent = False

    async def receive() -> Message:
        nonlocal sent
        if sent:
            return {"type": "http.disconnect"}
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    response = await answer_request(_find_handler(operation), Request(scope, receive))
    return Answer(response.status_code, _read(bytes(response.body)))


def _list_headers(request: Request) -> list[tuple[bytes, bytes]]:
    """The headers of the page's request; the token of a session stands for one of a client."""
    headers = [each for each in request.scope["headers"] if each[0] not in _BODY_HEADERS]
    token = request.cookies.get(COOKIE)
    if token and not any(name == b"authorization" for name, _ in headers):
        headers.append((b"authorization", f"Bearer {token}".encode("latin-1", "replace")))
    return headers


def _read(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None


@cache
def _find_handler(operation: tuple[str, str]) -> Handler:
    found = {(each.method, each.path): each for each in OPERATIONS}[operation]
    return routing.guard(found)
