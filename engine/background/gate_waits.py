"""The gates at which a run waits for people: opened together, closed by answers or by deadlines.

What was accepted counts, whether or not its message was heard: the message only wakes the run.
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
from engine.store.gates import Closing, Standing
from engine.store.pool import Pool

TIMEOUT: Final = "timeout"


@dataclass(frozen=True, slots=True)
class Waits:
    """Waiting for people, over one pool of connections. ``number`` is that of the step at work."""

    pool: Pool

    async def begin(self, number: int, execution: Execution, asks: Sequence[Ask]) -> dict[str, Any]:
        """``leftS``: seconds until the first deadline. Every gate is open."""
        return await self.pool.insist(_open_gate, execution, asks, number)

    async def look(self, number: int, execution: Execution, keys: list[str]) -> dict[str, Any]:
        """What came of the gates: ``leftS`` while the run has to wait, else ``refusal`` or None.

        A no, or silence past a deadline by the database's clock, speaks for all of them.
        """
        return await self.pool.insist(_read_gates, execution, keys, number)


async def _open_gate(
    tx: Tx, execution: Execution, asks: Sequence[Ask], number: int
) -> dict[str, Any]:
    keys = execution.gate_keys(asks)
    left_s = await store.open_all(tx, execution.id, dict(zip(keys, asks, strict=True)), number)
    if len(left_s) == len(keys):
        return {"leftS": max(0.0, min(left_s))}
    async with tx.transaction():  # they were open before, or the run is another's by now
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
    """All of the gates, by key. Raises RunFailed when one is missing: nobody was asked there."""
    found = {gate.gate_key: gate for gate in await store.standing(tx, execution.id, keys)}
    if found.keys() != set(keys):
        raise RunFailed(f"gates are missing: {', '.join(sorted(set(keys) - found.keys()))}")
    return found


async def _close(tx: Tx, execution: Execution, closing: Closing, number: int) -> None:
    await store.close(tx, execution.id, closing, number)
    if closing.state == State.TIMED_OUT:
        await store.escalate(tx, execution.id, closing.gate_key)


def _closing(key: str, end: End) -> Closing:
    return Closing(gate_key=key, state=end.state, decision=end.decision, reason=end.reason)


def _left_s(gates: Sequence[Standing]) -> float:
    waiting = [gate.left_s for gate in gates if gate.state == State.PENDING]
    return max(0.0, min(waiting, default=0.0))


@dataclass(frozen=True, slots=True)
class End:
    """How a gate stands once its answer is understood and the clock was looked at."""

    state: State
    decision: str | None = None
    reason: str | None = None

    @property
    def refuses(self) -> bool:
        """Whether the run may not go on because of it: somebody said no, or nobody anything."""
        return self.decision == "no" or self.state == State.TIMED_OUT

    @property
    def abandoned_end(self) -> End:
        """The same, unless nobody needs the answer any more."""
        return replace(self, state=State.CANCELLED) if self.state == State.PENDING else self


def _end(gate: Standing) -> End:
    asks_approval = rules.asks_approval(gate.prompt["formSchema"])
    if gate.state == State.CANCELLED or (gate.state == State.PENDING and gate.left_s > 0):
        return End(State(gate.state))
    if gate.result is None or gate.result["state"] == State.TIMED_OUT:
        return End(State.TIMED_OUT, "no" if asks_approval else None, TIMEOUT)
    answer = rules.parse_answer(gate.prompt["formSchema"], gate.result["payload"])
    return End(State.RESOLVED, answer.decision, answer.rationale)
