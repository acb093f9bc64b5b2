"""List gates, wait for them, answer them."""

from __future__ import annotations

import asyncio

from engine.core import gates as rules
from engine.core.gates import State
from engine.core.runs import RunState
from engine.errors import Drift, EngineError, IllegalState, Malformed, Missing
from engine.store import Tx, runs
from engine.store import gates as store
from engine.store.gates import Gate, Interaction, Reply
from engine.store.notices import Notices
from engine.store.pool import Pool


async def list_gates(tx: Tx, wid: str) -> list[Gate]:
    """The run's gates in the order of their creation. Raises Missing."""
    run, _ = await runs.load(tx, wid)
    return await store.of_run(tx, run.id)


async def load_gate(tx: Tx, wid: str, gate_key: str) -> Gate:
    """One gate. Raises Missing for the run or the gate."""
    if gate := await store.find(tx, wid, gate_key):
        return gate
    await runs.load(tx, wid)
    raise Missing("gate not found")


async def await_gate(
    pool: Pool, notices: Notices, wid: str, gate_key: str, timeout_s: float
) -> Gate:
    """Wait until the gate is not PENDING, at most ``timeout_s`` seconds (D21); return it."""

    async def load() -> Gate:
        async with pool.connection() as tx:
            return await load_gate(tx, wid, gate_key)

    deadline = asyncio.get_running_loop().time() + timeout_s
    with notices.watch(gate_key) as watch:
        while True:
            noticed = watch.next_notice()
            gate = await (watch.read(wid, load) if notices.listening else load())
            if gate.state != State.PENDING or notices.is_closed():
                return gate
            if not await _set_before(noticed, deadline):
                return gate


async def _set_before(noticed: asyncio.Event, deadline: float) -> bool:
    try:
        async with asyncio.timeout_at(deadline):
            return await noticed.wait()
    except TimeoutError:
        return False


async def reply(tx: Tx, wid: str, gate_key: str, offered: Reply) -> bool:
    """Accept an answer; return whether the same answer was accepted before by any route (D17, D20).

    Raises Conflict for another gate's topic, Missing, Malformed for a topic without a waiter and
    for an answer that the gate does not understand (D18), Drift for the accepted key with another
    payload or topic, IllegalState for a second answer or a closed gate.
    """
    rules.require_topic(gate_key, offered.topic)
    gate = await load_gate(tx, wid, gate_key)
    if offered.topic != (gate.topic if rules.is_human(offered.topic) else gate.listen_topic):
        raise await _unheard(tx, gate, offered)
    rules.parse_answer(gate.prompt["formSchema"], offered.payload)
    if await store.accept(tx, gate, offered):
        return False
    if accepted := await store.answer(tx, gate):
        _require_same(offered, accepted)
        return True
    raise await _too_late(tx, wid, gate_key)


async def _unheard(tx: Tx, gate: Gate, offered: Reply) -> EngineError:
    """The refusal of an answer under a topic without a waiter."""
    accepted = await store.answer(tx, gate)
    if accepted and accepted.dedupe_key == offered.dedupe_key:
        return _conflict(offered)
    if rules.is_human(offered.topic):
        return rules.mismatch(gate.gate_key)
    fault = {"pointer": "/topic", "message": "nothing waits on it"}
    return Malformed("invalid ExternalEvent: 1 fault", code="invalid_request", details=[fault])


async def _too_late(tx: Tx, wid: str, gate_key: str) -> IllegalState:
    """The refusal of an answer to a gate that closed without an answer."""
    _, progress = await runs.load(tx, wid)
    gate = await load_gate(tx, wid, gate_key)
    closed = State.TIMED_OUT if gate.state == State.PENDING else gate.state
    stands = closed if progress.status == RunState.WAITING_INPUT else progress.status
    return IllegalState(f"run not waiting for input: {stands}", code="run_not_waiting")


def _require_same(offered: Reply, accepted: Interaction) -> None:
    if offered.dedupe_key != accepted.dedupe_key:
        raise IllegalState("gate already answered", code="gate_already_answered")
    if (offered.payload_hash, offered.topic) != (accepted.payload_hash, accepted.topic):
        raise _conflict(offered)


def _conflict(offered: Reply) -> Drift:
    return Drift(f"dedupeKey conflict for {offered.dedupe_key}", code="dedupe_conflict")


async def interactions(tx: Tx, wid: str, limit: int) -> list[Interaction]:
    """The run's accepted answers, oldest first. Raises Missing."""
    run, _ = await runs.load(tx, wid)
    return await store.interactions(tx, run.id, limit)
