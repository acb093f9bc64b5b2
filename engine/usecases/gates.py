"""List a run's gates, look at one, answer it."""

from __future__ import annotations

from typing import Any

from engine.contracts.gates import GateView, ReplyTaken
from engine.core import gates as rules
from engine.core.gates import State
from engine.core.runs import Word
from engine.errors import Conflict, Drift, IllegalState, Malformed, Missing
from engine.store import Tx, runs
from engine.store import gates as store
from engine.store.gates import Gate, Interaction, Reply


async def views(tx: Tx, wid: str) -> list[GateView]:
    """The run's gates in the order of their creation. Raises Missing."""
    run, _ = await runs.load(tx, wid)
    return [_view(gate) for gate in await store.of_run(tx, run.id)]


async def view(tx: Tx, wid: str, gate_key: str) -> GateView:
    """One gate. Raises Malformed for a key that no gate can have, Missing."""
    return _view(await _gate(tx, wid, gate_key))


async def reply(tx: Tx, wid: str, gate_key: str, offered: Reply) -> ReplyTaken:
    """Accept an answer exactly once, and repeat that acceptance for ever (D17).

    Raises Malformed for a shape that the form does not know, Missing, Conflict.
    """
    gate = await _gate(tx, wid, gate_key)
    if known := await store.answer(tx, gate):
        return _repeated(known, offered)
    rules.understood(gate.prompt["formSchema"], offered.payload)
    if not await store.accept(tx, gate, offered):
        return await _too_late(tx, gate, offered)
    return ReplyTaken(is_replay=False)


async def _too_late(tx: Tx, gate: Gate, offered: Reply) -> ReplyTaken:
    """Somebody else's answer, or a gate that waits no more. Raises Conflict."""
    if known := await store.answer(tx, gate):
        return _repeated(known, offered)
    _, progress = await runs.load(tx, gate.workflow_id)
    if progress.status == Word.WAITING_INPUT:
        raise IllegalState("gate is past its deadline", code="gate_closed")
    message = f"run not waiting for input: {progress.status}"
    raise IllegalState(message, code="run_not_waiting")


def _repeated(known: Interaction, offered: Reply) -> ReplyTaken:
    """A replay of the accepted answer. Raises Conflict for any other."""
    if known.dedupe_key != offered.dedupe_key:
        raise Conflict("gate already answered", code="gate_already_answered")
    if known.payload_hash != offered.payload_hash:
        message = f"dedupeKey conflict for {offered.dedupe_key}"
        drift = [
            {
                "field": "payload_hash",
                "existing": known.payload_hash,
                "incoming": offered.payload_hash,
            }
        ]
        raise Drift(message, code="dedupe_conflict", drift=drift)
    return ReplyTaken(is_replay=True)


async def _gate(tx: Tx, wid: str, gate_key: str) -> Gate:
    if not rules.KEY.fullmatch(gate_key):
        raise Malformed("malformed gate key", code="invalid_request")
    run, _ = await runs.load(tx, wid)
    if found := await store.find(tx, run.id, gate_key):
        return found
    raise Missing("gate not found")


def _view(gate: Gate) -> GateView:
    created, deadline = _ms(gate.created_at), _ms(gate.deadline_at)
    return GateView.model_validate(
        {
            "workflow_id": gate.workflow_id,
            "gate_key": gate.gate_key,
            "topic": gate.topic,
            "state": gate.state,
            "prompt": gate.prompt,
            "result": gate.result,
            "decision": gate.decision,
            "origin": gate.origin,
            "payload_hash": gate.payload_hash,
            "created_at": created,
            "deadline_at": deadline,
        }
    )


def pending(seen: GateView) -> bool:
    """Whether a long-poll on this gate goes on waiting (D21)."""
    return seen.state == State.PENDING


def _ms(at: Any) -> int:
    return int(at.timestamp() * 1000)
