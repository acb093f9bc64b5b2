"""Gates: list, wait, answer."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from engine.api import http, parsing
from engine.contracts.base import millis
from engine.contracts.gates import (
    GateQuery,
    GateReply,
    GateResult,
    GateView,
    InteractionsQuery,
    InteractionView,
    Prompt,
    ReplyAccepted,
)
from engine.core import identity
from engine.core.gates import KEY
from engine.store.gates import Gate, Interaction, Reply
from engine.usecases import gates


async def list_gates(request: Request) -> Response:
    """``GET /api/runs/:wid/gates``: the run's gates in the order of their creation."""
    async with http.ports(request).pool.connection() as tx:
        found = await gates.list_gates(tx, request.path_params["wid"])
    return http.reply_list([_view(gate) for gate in found])


async def one(request: Request) -> Response:
    """``GET /api/runs/:wid/gates/:gateKey``: the gate, as soon as it leaves PENDING (D21)."""
    wid, gate_key = request.path_params["wid"], _key(request)
    query = parsing.query(request, GateQuery)
    lent = http.ports(request)
    gate = await gates.await_gate(lent.pool, lent.notices, wid, gate_key, query.timeout_s)
    return http.reply(_view(gate))


async def reply(request: Request) -> Response:
    """``POST /api/runs/:wid/gates/:gateKey/reply``: one accepted answer per gate (D17)."""
    wid, gate_key = request.path_params["wid"], _key(request)
    body = await parsing.body(request, GateReply)
    offered = Reply(
        topic=identity.topic(gate_key),
        payload=body.payload,
        dedupe_key=body.dedupe_key,
        origin=body.origin,
    )
    async with http.ports(request).pool.connection() as tx:
        is_replay = await gates.reply(tx, wid, gate_key, offered)
    return http.reply(ReplyAccepted(ok=True, is_replay=is_replay))


async def interactions(request: Request) -> Response:
    """``GET /api/runs/:wid/interactions``: the ledger, oldest first."""
    query = parsing.query(request, InteractionsQuery)
    async with http.ports(request).pool.connection() as tx:
        found = await gates.interactions(tx, request.path_params["wid"], query.limit)
    return http.reply_list([_interaction(each) for each in found])


def _key(request: Request) -> str:
    gate_key: str = request.path_params["gateKey"]
    if not KEY.fullmatch(gate_key):
        raise parsing.make_refusal("gateKey", [(("gateKey",), f"must match {KEY.pattern}")])
    return gate_key


def _view(gate: Gate) -> GateView:
    result = None if gate.result is None else GateResult.model_validate(gate.result)
    return GateView.model_validate(
        {
            "workflow_id": gate.workflow_id,
            "gate_key": gate.gate_key,
            "topic": gate.topic,
            "state": gate.state,
            "prompt": Prompt.model_validate(gate.prompt),
            "result": result,
            "decision": gate.decision,
            "origin": gate.origin,
            "payload_hash": gate.payload_hash,
            "created_at": millis(gate.created_at),
            "deadline_at": millis(gate.deadline_at),
        }
    )


def _interaction(kept: Interaction) -> InteractionView:
    return InteractionView.model_validate(
        {
            "workflow_id": kept.workflow_id,
            "gate_key": kept.gate_key,
            "topic": kept.topic,
            "dedupe_key": kept.dedupe_key,
            "payload_hash": kept.payload_hash,
            "origin": kept.origin,
            "created_at": millis(kept.created_at),
        }
    )
