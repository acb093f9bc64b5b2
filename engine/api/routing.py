"""Routing: match the path as sent, then decode it, so an encoded slash stays in its segment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from engine import crash_points
from engine.api import http, parsing
from engine.api.http import Handler
from engine.contracts.base import Wire
from engine.core.doors import Role, usual

_PARAMETER: Final = re.compile(r"\{(\w+)(:path)?\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path: its handler, its input, its replies, and who may call it.

    ``roles`` count if tokens are configured; None means the usual roles of the method. ``signed``:
    if a secret is configured, a signature of the body counts like a token (D36).
    """

    method: str
    path: str
    handler: Handler
    summary: str
    replies: Mapping[int, Any]
    body: type[Wire] | None = None
    query: type[Wire] | None = None
    roles: frozenset[Role] | None = None
    signed: bool = False
    enqueues: bool = False  # it notifies the workers
    point: str = ""  # the crash points around a request that writes
    parameters: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        names = tuple(match[1] for match in _PARAMETER.finditer(self.path))
        object.__setattr__(self, "parameters", names)

    @property
    def admits(self) -> frozenset[Role]:
        """The roles that may call it."""
        return usual(self.method) if self.roles is None else self.roles


class Served(BaseRoute):
    """An operation at its path. A wrong method gets 404 like a wrong path, never 405 (D0)."""

    def __init__(self, operation: Operation) -> None:
        self._method = operation.method
        self._path = re.compile(_pattern(operation.path))
        self._answer = _answer_with(guard(operation))

    @override
    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] != "http" or scope["method"] != self._method:
            return Match.NONE, {}
        found = self._path.fullmatch(scope["raw_path"].decode("ascii", "replace"))
        params = None if found is None else _decode_parameters(found.groupdict())
        return (Match.NONE, {}) if params is None else (Match.FULL, {"path_params": params})

    @override
    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._answer(Request(scope, receive, send))
        await response(scope, receive, send)


def _pattern(path: str) -> str:
    return _PARAMETER.sub(lambda name: f"(?P<{name[1]}>{'.+' if name[2] else '[^/]+'})", path)


def _decode_parameters(raw: Mapping[str, str]) -> dict[str, str] | None:
    """The parameters as text; None if a database could not store one of them."""
    try:
        params = {name: unquote_to_bytes(value).decode() for name, value in raw.items()}
    except UnicodeDecodeError:
        return None
    return None if any("\0" in value for value in params.values()) else params


def guard(operation: Operation) -> Handler:
    """Wrap the handler with its credentials and a check of query names. Its errors are raised."""

    async def handler(request: Request) -> Response:
        await http.ports(request).doors.admit(request, operation.admits, signed=operation.signed)
        if operation.query is None and request.scope["query_string"]:
            parsing.query(request, Wire)
        crash_points.pass_point(f"api.{operation.point}.received")
        response = await operation.handler(request)
        if operation.enqueues and response.status_code != HTTPStatus.OK:  # no repeat of it
            http.ports(request).signals.send()
        crash_points.pass_point(f"api.{operation.point}.committed")
        return response

    return handler


def _answer_with(handler: Handler) -> Handler:
    """Answer an error of the handler by its status (D0)."""

    async def answer(request: Request) -> Response:
        return await http.answer_request(handler, request)

    return answer
