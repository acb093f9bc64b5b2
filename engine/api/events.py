"""Events from outside: a reply to a gate by another route."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from engine.api import http, parsing
from engine.contracts.gates import ExternalEvent, ReplyAccepted
from engine.store.gates import Reply
from engine.usecases import gates


async def accept(request: Request) -> Response:
    """``POST /api/events/hitl``: the ledger and the rules of a reply (D20)."""
    body = await parsing.body(request, ExternalEvent)
    offered = Reply(
        topic=body.topic, payload=body.payload, dedupe_key=body.dedupe_key, origin=body.origin
    )
    async with http.ports(request).pool.connection() as tx:
        is_replay = await gates.reply(tx, body.workflow_id, body.gate_key, offered)
    return http.reply(ReplyAccepted(ok=True, is_replay=is_replay))
