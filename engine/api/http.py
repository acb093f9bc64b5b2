"""Shared by all routes: what the process lends them, replies, and replies to errors."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from engine.api.doors import Doors
from engine.contracts.base import View
from engine.contracts.errors import Refusal
from engine.core.doors import PROVEN
from engine.core.posture import Posture
from engine.errors import EngineError, Missing
from engine.store.notices import Notices
from engine.store.pool import Pool
from engine.store.queue_signals import QueueSignals
from engine.usecases.promotion import Promotions
from engine.usecases.runs import Ingress
from engine.usecases.signoff import Signoff

log = logging.getLogger(__name__)
Handler = Callable[[Request], Awaitable[Response]]
JSON: Final = "application/json"
CUT_OFF: Final = frozenset({"body_too_large", "body_too_slow"})  # nobody reads the rest of the body
_ANY: Final[TypeAdapter[Any]] = TypeAdapter(Any)


@dataclass(frozen=True, slots=True)
class Ports:
    """What the process lends to its routes."""

    pool: Pool
    notices: Notices
    ingress: Ingress
    promotions: Promotions
    signals: QueueSignals
    posture: Posture
    demo_sleep_s: float
    load_dir: Path
    doors: Doors
    secrets: Callable[[], Collection[str]]  # what this process knows and must not show
    signoff: Signoff


def ports(request: Request) -> Ports:
    """What the process lends to this request."""
    lent: Ports = request.app.state.ports
    return lent


def reply(view: View, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """``view`` as JSON."""
    return Response(view.model_dump_json(exclude_unset=True), status, media_type=JSON)


def reply_list(views: Sequence[View]) -> Response:
    """``views`` as a JSON array."""
    return Response(_ANY.dump_json([_plain(view) for view in views]), media_type=JSON)


def _plain(view: View) -> dict[str, Any]:
    return view.model_dump(mode="json", exclude_unset=True)


async def answer_request(handler: Handler, request: Request) -> Response:
    """The answer of ``handler``. Only here an error becomes a status (D0).

    Any other error than EngineError is a bug or an outage: the log gets it all, the client nothing.
    """
    try:
        return await handler(request)
    except EngineError as error:
        refusal = Refusal.model_validate(_facts(error))
        log.info("refused %s: %d %s", _describe_request(request), error.status, refusal.code or "")
        return _refusal(refusal, error.status)
    except Exception:
        log.exception("failed %s", _describe_request(request))
        return _refusal(Refusal(error="internal error"), HTTPStatus.INTERNAL_SERVER_ERROR)


async def refuse_unknown(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer an unknown path, or a known one under another method (D0)."""
    response = await answer_request(_nowhere, Request(scope, receive, send))
    await response(scope, receive, send)


async def _nowhere(request: Request) -> Response:
    await ports(request).doors.admit(request, PROVEN)
    raise Missing("not found")


def _describe_request(request: Request) -> str:
    """The request for the log: only method and path as sent, so it is one line."""
    return f"{request.method} {request.scope['raw_path'].decode('ascii', 'replace')}"


def _refusal(body: Refusal, status: HTTPStatus) -> Response:
    headers = {"connection": "close"} if body.code in CUT_OFF else {}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = "Bearer"
    return Response(body.model_dump_json(exclude_unset=True), status, headers, media_type=JSON)


def _facts(error: EngineError) -> dict[str, Any]:
    code = {} if error.code is None else {"code": error.code}
    return {"error": str(error), **code, **error.facts}
