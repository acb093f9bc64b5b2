"""The gates of a run: opened together, closed by answers or by deadlines.

An accepted answer counts even if its message is lost: the message only wakes the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from engine.core import gates as rules
from engine.core.executions import Execution
from engine.core.gates import Ask, State
from engine.errors import RunFailed
from engine.store import Tx, steps
from engine.store import gates as store
from engine.store.gates import GateEnd, Standing
from engine.store.pool import Pool

TIMEOUT: Final = "timeout"


@dataclass(frozen=True, slots=True)
class Waits:
    """Waits for people, over one pool of connections. ``number`` is that of the current step."""

    pool: Pool

    async def begin(self, number: int, execution: Execution, asks: Sequence[Ask]) -> dict[str, Any]:
        """Open every gate. Returns ``leftS``: the seconds until the first deadline."""
        return await self.pool.insist(_open_gate, execution, asks, number)

    async def look(self, number: int, execution: Execution, keys: list[str]) -> dict[str, Any]:
        """The state of the gates: ``leftS`` while the run must wait, otherwise ``refusal`` or None.

        One no, or one missed deadline by the database's clock, decides for all of them.
        """
        return await self.pool.insist(_read_gates, execution, keys, number)


async def _open_gate(
    tx: Tx, execution: Execution, asks: Sequence[Ask], number: int
) -> dict[str, Any]:
    keys = execution.gate_keys(asks)
    left_s = await store.open_all(tx, execution.id, dict(zip(keys, asks, strict=True)), number)
    if len(left_s) == len(keys):
        return {"leftS": max(0.0, min(left_s))}
    async with tx.transaction():  # they were open before, or the run has another owner
        await steps.hold(tx, execution.id)
        return {"leftS": _left_s([*(await _standing(tx, execution, keys)).values()])}


async def _read_gates(tx: Tx, execution: Execution, keys: list[str], number: int) -> dict[str, Any]:
    async with tx.transaction():
        await steps.hold(tx, execution.id)
        found = await _standing(tx, execution, keys)
        ends = {key: _end(gate) for key, gate in found.items()}
        refusal = next((end for end in ends.values() if end.refuses), None)
        is_over = refusal is not None or all(end.state != State.PENDING for end in ends.values())
        if is_over:
            ends = {key: end.abandoned_end for key, end in ends.items()}
            await store.go_on(tx, execution.id, moves=refusal is None)
        for key, end in ends.items():
            if end.state != found[key].state:
                await _close(tx, execution, _closing(key, end), number)
    if not is_over:
        return {"leftS": _left_s([*found.values()])}
    return {"refusal": None if refusal is None else {"reason": refusal.reason}}


async def _standing(tx: Tx, execution: Execution, keys: list[str]) -> dict[str, Standing]:
    """All of the gates, by key. Raises RunFailed when one is missing, because nobody was asked."""
    found = {gate.gate_key: gate for gate in await store.standing(tx, execution.id, keys)}
    if found.keys() != set(keys):
        raise RunFailed(f"gates are missing: {', '.join(sorted(set(keys) - found.keys()))}")
    return found


async def _close(tx: Tx, execution: Execution, closing: GateEnd, number: int) -> None:
    await store.close(tx, execution.id, closing, number)
    if closing.state == State.TIMED_OUT:
        await store.escalate(tx, execution.id, closing.gate_key)


def _closing(key: str, end: End) -> GateEnd:
    return GateEnd(gate_key=key, state=end.state, decision=end.decision, reason=end.reason)


def _left_s(gates: Sequence[Standing]) -> float:
    waiting = [gate.left_s for gate in gates if gate.state == State.PENDING]
    return max(0.0, min(waiting, default=0.0))


@dataclass(frozen=True, slots=True)
class End:
    """The state of a gate after its answer and the clock were read."""

    state: State
    decision: str | None = None
    reason: str | None = None

    @property
    def refuses(self) -> bool:
        """Whether it stops the run: somebody said no, or nobody answered."""
        return self.decision == "no" or self.state == State.TIMED_OUT

    @property
    def abandoned_end(self) -> End:
        """The same, or an abandoned end if the run does not need the answer any more."""
        return replace(self, state=State.CANCELLED) if self.state == State.PENDING else self


def _end(gate: Standing) -> End:
    asks_approval = rules.asks_approval(gate.prompt["formSchema"])
    if gate.state == State.CANCELLED or (gate.state == State.PENDING and gate.left_s > 0):
        return End(State(gate.state))
    if gate.result is None or gate.result["state"] == State.TIMED_OUT:
        return End(State.TIMED_OUT, "no" if asks_approval else None, TIMEOUT)
    answer = rules.parse_answer(gate.prompt["formSchema"], gate.result["payload"])
    return End(State.RESOLVED, answer.decision, answer.rationale)
