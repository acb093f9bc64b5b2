"""Gates, the ledger of accepted answers, and the one statement that accepts one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from psycopg.rows import class_row, scalar_row
from psycopg.types.json import Jsonb

from engine.core.canon import Json, canonical, digest
from engine.errors import RunFailed
from engine.store import Tx, faults, sql

SQL: Final = sql.load("gates")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One gate as the API shows it: its row, and the origin and hash of the accepted answer."""

    workflow_id: str
    run_id: str
    gate_key: str
    topic: str
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
    """An answer offered to a gate."""

    payload: dict[str, Json]
    dedupe_key: str
    origin: str

    @property
    def payload_hash(self) -> str:
        """sha256 of the canonical payload."""
        return digest(self.payload)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """A gate about to open: who waits, for what, and what the header says meanwhile."""

    execution_id: str
    gate_key: str
    topic: str
    step_id: str
    purpose: str
    form: Mapping[str, Json]
    next_action: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What became of a gate; ``left_s`` to its deadline by the database's clock."""

    state: str
    result: dict[str, Any] | None
    decision: str | None
    prompt: dict[str, Any]
    left_s: float


@dataclass(frozen=True, slots=True)
class Closing:
    """How a gate ends; ``word`` moves the run's status, if given."""

    state: str
    decision: str | None
    reason: str | None
    word: str | None


async def owned_run(tx: Tx, execution_id: str) -> str:
    """The id of the run that this execution owns. Raises RunFailed when it owns none."""
    async with tx.cursor(row_factory=scalar_row) as rows:
        values = {"execution_id": execution_id}
        found: str | None = await (await rows.execute(SQL["owned_run"], values)).fetchone()
    if found is None:
        raise RunFailed(f"execution {execution_id} owns no run")
    return found


async def open_gate(tx: Tx, opening: Opening, function_id: int) -> None:
    """The gate is there, its prompt shown, and the run waits; once, however often it is asked."""
    values = {**asdict(opening), "form": Jsonb(dict(opening.form)), "function_id": function_id}
    await tx.execute(SQL["open"], values)


async def standing(tx: Tx, execution_id: str, gate_key: str) -> Standing:
    """What became of the gate, which stays locked until the transaction ends."""
    async with tx.cursor(row_factory=class_row(Standing)) as rows:
        values = {"execution_id": execution_id, "gate_key": gate_key}
        found = await (await rows.execute(SQL["standing"], values)).fetchone()
    if found is None:
        raise RunFailed(f"gate {gate_key} of execution {execution_id} is not there")
    return found


async def close_gate(
    tx: Tx, execution_id: str, gate_key: str, closing: Closing, function_id: int
) -> None:
    """The gate, the run's word and the events that tell of it, as ``closing`` says."""
    values = {"execution_id": execution_id, "gate_key": gate_key, "function_id": function_id}
    await tx.execute(SQL["close"], {**values, **asdict(closing)})


async def of_run(tx: Tx, run_id: str) -> list[Gate]:
    """The run's gates in the order of their creation."""
    return await _views(tx, run_id, None)


async def find(tx: Tx, run_id: str, gate_key: str) -> Gate | None:
    """The run's gate of this key, if there is one."""
    return next(iter(await _views(tx, run_id, gate_key)), None)


async def _views(tx: Tx, run_id: str, gate_key: str | None) -> list[Gate]:
    async with tx.cursor(row_factory=class_row(Gate)) as rows:
        values = {"run_id": run_id, "gate_key": gate_key}
        return await (await rows.execute(SQL["views"], values)).fetchall()


async def accept(tx: Tx, gate: Gate, reply: Reply) -> bool:
    """Whether ``reply`` became the gate's one answer, and its message was sent (D6, D17).

    Raises what ``faults`` makes of a key that the ledger refuses.
    """
    values = {
        "run_id": gate.run_id,
        "gate_key": gate.gate_key,
        "dedupe_key": reply.dedupe_key,
        "origin": reply.origin,
        "payload": canonical(reply.payload).decode(),
        "payload_hash": reply.payload_hash,
    }
    with faults.translated():
        rows = await tx.execute(SQL["accept"], values)
    return rows.rowcount == 1


async def answer(tx: Tx, gate: Gate) -> Interaction | None:
    """The answer that the gate accepted, if it did."""
    async with tx.cursor(row_factory=class_row(Interaction)) as rows:
        values = {"run_id": gate.run_id, "gate_key": gate.gate_key}
        return await (await rows.execute(SQL["answer"], values)).fetchone()


async def interactions(tx: Tx, run_id: str, limit: int) -> list[Interaction]:
    """The run's ledger, oldest first."""
    async with tx.cursor(row_factory=class_row(Interaction)) as rows:
        values = {"run_id": run_id, "limit": limit}
        return await (await rows.execute(SQL["interactions"], values)).fetchall()
