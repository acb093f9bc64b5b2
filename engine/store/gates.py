"""Gates, the ledger of accepted answers, and the one statement that accepts an answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from psycopg.rows import class_row, scalar_row
from psycopg.types.json import Jsonb

from engine.core.canon import Json, canonical, digest
from engine.core.gates import Ask
from engine.core.identity import topic
from engine.core.workflows import ESCALATION
from engine.errors import RunFailed
from engine.store import Tx, faults, sql
from engine.store.steps import Left

SQL: Final = sql.load("gates")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One gate as the API shows it: its row, and the origin and hash of the accepted answer."""

    workflow_id: str
    run_id: str
    gate_key: str
    topic: str
    listen_topic: str
    state: str
    prompt: dict[str, Any]
    result: dict[str, Any] | None
    decision: str | None
    origin: str | None
    payload_hash: str | None
    created_at: datetime
    deadline_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Interaction:
    """One accepted answer, without its payload."""

    workflow_id: str
    gate_key: str
    topic: str
    dedupe_key: str
    payload_hash: str
    origin: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer offered to a gate, with the topic of its route."""

    topic: str
    payload: dict[str, Json]
    dedupe_key: str
    origin: str

    @property
    def payload_hash(self) -> str:
        """sha256 of the canonical payload."""
        return digest(self.payload)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The state of a gate; ``left_s`` to its deadline by the database's clock."""

    gate_key: str
    state: str
    result: dict[str, Any] | None
    decision: str | None
    prompt: dict[str, Any]
    left_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GateEnd:
    """How a gate ends."""

    gate_key: str
    state: str
    decision: str | None
    reason: str | None


async def open_all(
    tx: Tx, execution_id: str, gates: Mapping[str, Ask], function_id: int
) -> list[float]:
    """Open the gates and let the run wait; return the seconds to each deadline, for opened gates.

    A repeat opens none, and neither does an execution that does not own the run. Answers to all of
    the gates arrive on the topic of the first.
    """
    asked = [
        {"gate_key": key, "step_id": ask.step_id, "purpose": ask.purpose, "form": dict(ask.form)}
        for key, ask in gates.items()
    ]
    values = {
        "execution_id": execution_id,
        "listen_topic": topic(next(iter(gates))),
        "next_action": next(iter(gates.values())).next_action,
        "gates": Jsonb(asked),
        "function_id": function_id,
    }
    async with tx.cursor(row_factory=scalar_row) as rows:
        return await (await rows.execute(SQL["open"], values)).fetchall()


async def standing(tx: Tx, execution_id: str, gate_keys: list[str]) -> list[Standing]:
    """The state of the gates, which stay locked until the transaction ends."""
    async with tx.cursor(row_factory=class_row(Standing)) as rows:
        values = {"execution_id": execution_id, "gate_keys": gate_keys}
        return await (await rows.execute(SQL["standing"], values)).fetchall()


async def close(tx: Tx, execution_id: str, closing: GateEnd, function_id: int) -> None:
    """Close the gate as ``closing`` says, and write its events."""
    values = {"execution_id": execution_id, "function_id": function_id, **asdict(closing)}
    await tx.execute(SQL["close"], values)


async def escalate(tx: Tx, execution_id: str, gate_key: str) -> None:
    """Enqueue, once, the workflow that records that nobody answered."""
    values = {"execution_id": execution_id, "gate_key": gate_key, "workflow_name": ESCALATION}
    await tx.execute(SQL["escalate"], values)


async def keep_escalation(tx: Tx, run_id: str, gate_key: str, artifact: Left) -> None:
    """Record the escalation; a repeat changes nothing."""
    await tx.execute(
        SQL["keep_escalation"],
        {
            "run_id": run_id,
            "step_id": ESCALATION,
            "gate_key": gate_key,
            **asdict(artifact),
            "inline": Jsonb(artifact.inline),
        },
    )


async def overdue_at(tx: Tx, run_id: str, gate_key: str) -> datetime:
    """The time of the gate's deadline."""
    async with tx.cursor(row_factory=scalar_row) as rows:
        values = {"run_id": run_id, "gate_key": gate_key}
        found: datetime | None = await (await rows.execute(SQL["overdue_at"], values)).fetchone()
    if found is None:
        raise RunFailed(f"gate {gate_key} of {run_id} is not there")
    return found


async def go_on(tx: Tx, execution_id: str, *, moves: bool) -> None:
    """End the run's wait; it goes on if ``moves``."""
    await tx.execute(SQL["go_on"], {"execution_id": execution_id, "moves": moves})


async def of_run(tx: Tx, wid: str) -> list[Gate]:
    """The gates of the run with this workflow id or run id, in the order of their creation."""
    return await _views(tx, wid, None)


async def find(tx: Tx, wid: str, gate_key: str) -> Gate | None:
    """The gate of this key of the run with this workflow id or run id, if it exists."""
    return next(iter(await _views(tx, wid, gate_key)), None)


async def _views(tx: Tx, wid: str, gate_key: str | None) -> list[Gate]:
    async with tx.cursor(row_factory=class_row(Gate)) as rows:
        values = {"wid": wid, "gate_key": gate_key}
        return await (await rows.execute(SQL["views"], values)).fetchall()


async def accept(tx: Tx, gate: Gate, reply: Reply) -> bool:
    """Accept ``reply`` as the gate's answer and send its message; return whether it was accepted.

    D6, D17. Raises the error of ``faults`` for a key that the ledger refuses.
    """
    values = {
        "run_id": gate.run_id,
        "gate_key": gate.gate_key,
        "topic": reply.topic,
        "dedupe_key": reply.dedupe_key,
        "origin": reply.origin,
        "payload": canonical(reply.payload).decode(),
        "payload_hash": reply.payload_hash,
    }
    with faults.translate_faults():
        rows = await tx.execute(SQL["accept"], values)
    return rows.rowcount == 1


async def answer(tx: Tx, gate: Gate) -> Interaction | None:
    """The gate's accepted answer, if there is one."""
    async with tx.cursor(row_factory=class_row(Interaction)) as rows:
        values = {"run_id": gate.run_id, "gate_key": gate.gate_key}
        return await (await rows.execute(SQL["answer"], values)).fetchone()


async def interactions(tx: Tx, run_id: str, limit: int) -> list[Interaction]:
    """The run's ledger, oldest first."""
    async with tx.cursor(row_factory=class_row(Interaction)) as rows:
        values = {"run_id": run_id, "limit": limit}
        return await (await rows.execute(SQL["interactions"], values)).fetchall()
