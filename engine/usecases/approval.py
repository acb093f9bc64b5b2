"""The gate at which a run waits for a person: opened; closed by an answer or by its deadline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from engine.core import gates as rules
from engine.core import identity
from engine.core.gates import State
from engine.core.runs import Word
from engine.store import Tx
from engine.store import gates as store
from engine.store.gates import Closing, Opening, Standing
from engine.store.pool import Pool

STEP: Final = "ApplyPatchST"
PURPOSE: Final = "approve-plan"
NEXT_ACTION: Final = "APPROVE_PLAN"
TIMEOUT: Final = "timeout"


@dataclass(frozen=True, slots=True)
class Approval:
    """The approval of a plan, over one pool of connections."""

    pool: Pool

    async def open(self, execution_id: str, function_id: int) -> dict[str, Any]:
        """The gate's key, its topic and the seconds it will wait; ``function_id`` is our step's."""
        return await self.pool.insist(_opened, execution_id, function_id)

    async def close(self, execution_id: str, gate_key: str, function_id: int) -> dict[str, Any]:
        """What the gate came to: ``state``, ``decision``, ``reason``; ``leftS`` if it still waits.

        What was accepted counts, whether or not its message was heard in time; and a deadline has
        passed when the database's clock says so.
        """
        return await self.pool.insist(_closed, execution_id, gate_key, function_id)


async def _opened(tx: Tx, execution_id: str, function_id: int) -> dict[str, Any]:
    key = identity.gate_key(await store.owned_run(tx, execution_id), STEP, PURPOSE)
    opening = Opening(
        execution_id=execution_id,
        gate_key=key,
        topic=identity.topic(key),
        step_id=STEP,
        purpose=PURPOSE,
        form=rules.APPROVAL_FORM,
        next_action=NEXT_ACTION,
    )
    await store.open_gate(tx, opening, function_id)
    standing = await store.standing(tx, execution_id, key)
    return {"gateKey": key, "topic": opening.topic, "leftS": max(0.0, standing.left_s)}


async def _closed(tx: Tx, execution_id: str, gate_key: str, function_id: int) -> dict[str, Any]:
    async with tx.transaction():
        standing = await store.standing(tx, execution_id, gate_key)
        if standing.state == State.PENDING and standing.left_s > 0:
            return {"state": standing.state, "leftS": standing.left_s}
        closing = _end(standing)
        if standing.state in {State.PENDING, State.RECEIVED}:
            await store.close_gate(tx, execution_id, gate_key, closing, function_id)
    return {"state": closing.state, "decision": closing.decision, "reason": closing.reason}


def _end(standing: Standing) -> Closing:
    """The end of a gate that was answered or is overdue: silence is a no."""
    if standing.result is None:
        return Closing(State.TIMED_OUT, "no", TIMEOUT, None)
    if standing.result["state"] != State.RECEIVED:
        return Closing(standing.state, standing.decision, TIMEOUT, None)
    answer = rules.understood(standing.prompt["formSchema"], standing.result["payload"])
    word = Word.RUNNING if answer.decision == "yes" else None
    return Closing(State.RESOLVED, answer.decision, answer.rationale, word)
