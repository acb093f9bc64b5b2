"""The step rows that a worker writes: each step is one row and one transaction."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from psycopg.rows import class_row, scalar_row

from engine.core.canon import Json
from engine.core.runs import RunState
from engine.errors import RunCanceled, RunFailed
from engine.store import Tx, sql

SQL: Final = sql.load("steps")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The run that an execution works on, for the ``attempt``th time; ``now`` is the database's.

    ``answered`` names the calls of this attempt that its ledger already has an answer of.
    """

    execution_id: str
    run_id: str
    status: str
    workflow_id: str
    recipe_id: str
    recipe_v: str
    attempt: int
    priority: int
    queue_partition_key: str | None
    budget: Any
    intent: dict[str, Any]
    now: datetime
    answered: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """One artifact that a step leaves behind."""

    idx: int
    kind: str
    uri: str
    inline: Json
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One question to an agent and what came of it, as the ledger keeps it."""

    op_key: str
    agent: str
    prompt: str
    schema_hash: str
    structured: Any
    tool_calls: list[str]
    served_by: str
    session_id: str | None
    server_version: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What the ledger holds of an answer."""

    structured: Any
    tool_calls: list[str]
    served_by: str
    session_id: str | None
    server_version: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The proof that a side effect happened, and of what."""

    receipt_key: str
    payload_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A finished step with all that belongs to it; ``word`` moves the run's status, if given."""

    step_id: str
    phase: str
    output: dict[str, Json]
    artifacts: Sequence[Left] = ()
    calls: Sequence[Call] = ()
    receipts: Sequence[Receipt] = ()
    word: str | None = None


async def subject(tx: Tx, execution_id: str) -> Subject:
    """The run that this execution owns, moving. Raises RunCanceled, RunFailed when it owns none."""
    async with tx.cursor(row_factory=class_row(Subject)) as rows:
        values = {"execution_id": execution_id}
        found = await (await rows.execute(SQL["subject"], values)).fetchone()
    if found is None:
        raise RunFailed(f"execution {execution_id} owns no run")
    if found.status == RunState.CANCELED:
        raise RunCanceled(f"run {found.run_id} was canceled")
    return found


async def hold(tx: Tx, execution_id: str) -> None:
    """The run that this execution owns stays as it is until the transaction ends.

    Raises RunCanceled, and RunFailed when the execution owns none.
    """
    async with tx.cursor(row_factory=scalar_row) as rows:
        values = {"execution_id": execution_id}
        status: str | None = await (await rows.execute(SQL["hold"], values)).fetchone()
    if status == RunState.CANCELED:
        raise RunCanceled(f"execution {execution_id} was canceled")
    if status is None:
        raise RunFailed(f"execution {execution_id} owns no run")


async def keep(tx: Tx, of: Subject, outcome: Outcome) -> dict[str, Any]:
    """Store the step and return its output, or that of an earlier try of the same step.

    Raises RunCanceled, and RunFailed when the execution does not own the run any more.
    """
    values = {
        "execution_id": of.execution_id,
        "attempt": of.attempt,
        "started_at": of.now,
        "step_id": outcome.step_id,
        "phase": outcome.phase,
        "output": json.dumps(outcome.output, ensure_ascii=False),
        "word": outcome.word,
        "artifacts": _records(outcome.artifacts),
        "calls": _records(outcome.calls),
        "receipts": _records(outcome.receipts),
    }
    written = await tx.execute(SQL["keep"], values)
    return (
        dict(outcome.output) if written.rowcount == 1 else await _load_step(tx, of, outcome.step_id)
    )


async def _load_step(tx: Tx, of: Subject, step_id: str) -> dict[str, Any]:
    values: dict[str, object] = {"run_id": of.run_id, "step_id": step_id, "attempt": of.attempt}
    async with tx.cursor(row_factory=scalar_row) as rows:
        found: dict[str, Any] | None = await (await rows.execute(SQL["output"], values)).fetchone()
    if found is None:
        await subject(tx, of.execution_id)
        raise RunFailed(f"run {of.run_id} takes no {step_id} from execution {of.execution_id}")
    return found


async def place(tx: Tx, of: Subject, step_id: str, tries: int) -> int:
    """The attempt under which this execution keeps a step of ``tries`` tries, or has kept it.

    It is above those of earlier executions, so that the newest is always the highest.
    """
    values = {"run_id": of.run_id, "step_id": step_id, "execution_id": of.execution_id}
    newest, own = await (await tx.execute(SQL["place"], values)).fetchone() or (0, False)
    return int(newest) if own else max(int(newest), of.attempt - 1) + tries


async def answer(tx: Tx, op_key: str) -> Given | None:
    """The answer that the ledger has of that call; a failure is none."""
    async with tx.cursor(row_factory=class_row(Given)) as rows:
        return await (await rows.execute(SQL["answer"], {"op_key": op_key})).fetchone()


async def keep_failed(tx: Tx, of: Subject, step_id: str, call: Call, error: str) -> None:
    """Record the failed call."""
    values = {
        **asdict(call),
        "run_id": of.run_id,
        "step_id": step_id,
        "attempt": of.attempt,
        "structured": None if call.structured is None else json.dumps(call.structured),
        "tool_calls": json.dumps(call.tool_calls),
        "error": error,
    }
    await tx.execute(SQL["keep_failed"], values)


async def tools(tx: Tx, run_id: str) -> list[tuple[str, list[str]]]:
    """Agent and tools of the answer behind what each step of the run put out last."""
    return await (await tx.execute(SQL["tools"], {"run_id": run_id})).fetchall()


async def fail(tx: Tx, execution_id: str, error: str) -> None:
    """End the run with ``error``, unless it has ended or belongs to another execution."""
    await tx.execute(SQL["fail"], {"execution_id": execution_id, "error": error})


def _records(items: Sequence[Left] | Sequence[Call] | Sequence[Receipt]) -> str:
    return json.dumps([asdict(item) for item in items], ensure_ascii=False)


async def newest_outputs(tx: Tx, run_id: str) -> dict[str, dict[str, Any]]:
    """What each recorded step of the run put out last, by step."""
    rows = await tx.execute(SQL["newest_outputs"], {"run_id": run_id})
    return dict(await rows.fetchall())


async def successes(tx: Tx, run_id: str) -> dict[str, dict[str, Any]]:
    """How each command of the run that ever succeeded ended then, by command."""
    rows = await tx.execute(SQL["successes"], {"run_id": run_id})
    return dict(await rows.fetchall())


async def is_granted(tx: Tx, run_id: str, step_id: str) -> bool:
    """Whether people let the run go on where that step asked them last."""
    async with tx.cursor(row_factory=scalar_row) as rows:
        values = {"run_id": run_id, "step_id": step_id}
        return bool(await (await rows.execute(SQL["granted"], values)).fetchone())
