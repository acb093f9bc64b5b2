"""Operations on workflows: each action and its audit are one transaction (D23)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from psycopg.rows import class_row, dict_row, scalar_row
from psycopg.types.json import Jsonb

from engine.core import workflows
from engine.core.ops import Done
from engine.errors import Missing
from engine.store import Tx, sql
from engine.store.steps import Left

SQL: Final = sql.load("ops")


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One row of the durable engine; times in epoch milliseconds."""

    workflow_uuid: str
    status: str
    name: str | None
    class_name: str | None
    queue_name: str | None
    application_version: str | None
    parent_workflow_id: str | None
    forked_from: str | None
    created_at: int
    updated_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One recorded operation; times in epoch milliseconds."""

    function_id: int
    function_name: str
    error: str | None
    started_at: int | None
    completed_at: int | None
    child_workflow_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The run that a live execution owns, locked until the transaction ends."""

    id: str
    workflow_id: str
    status: str
    queue_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fork:
    """A fork to create: its source, its ids, and its first operation."""

    workflow_id: str
    fork_id: str
    start: int
    app_version: str | None


async def list_workflows(tx: Tx, status: str | None, name: str | None, limit: int) -> list[Summary]:
    """The newest workflows, ties by id."""
    async with tx.cursor(row_factory=class_row(Summary)) as rows:
        values = {"status": status, "name": name, "limit": limit}
        query = "newest" if status is None and name is None else "list"
        return await (await rows.execute(SQL[query], values)).fetchall()


async def one(tx: Tx, workflow_id: str) -> Summary:
    """The workflow of this id. Raises Missing."""
    async with tx.cursor(row_factory=class_row(Summary)) as rows:
        found = await (await rows.execute(SQL["one"], {"workflow_id": workflow_id})).fetchone()
    if found is None:
        raise Missing(f"workflow not found: {workflow_id}")
    return found


async def operations(tx: Tx, workflow_id: str) -> list[Operation]:
    """The workflow's recorded operations, in the durable engine's order."""
    async with tx.cursor(row_factory=class_row(Operation)) as rows:
        values = {"workflow_id": workflow_id}
        return await (await rows.execute(SQL["operations"], values)).fetchall()


async def load_done_steps(tx: Tx, workflow_id: str) -> list[Done]:
    """The same operations as values for the rules."""
    return [
        Done(each.function_id, each.function_name) for each in await operations(tx, workflow_id)
    ]


async def run_of(tx: Tx, workflow_id: str) -> str | None:
    """The id of the run of this workflow, if it has one."""
    found: str | None = await _scalar(tx, "run_of", workflow_id=workflow_id)
    return found


async def audit(tx: Tx, run_ids: Sequence[str]) -> list[dict[str, Any]]:
    """The audit of workflows with one of these ids, newest first."""
    async with tx.cursor(row_factory=scalar_row) as rows:
        return await (await rows.execute(SQL["audit"], {"run_ids": [*run_ids]})).fetchall()


async def lock_workflow(tx: Tx, workflow_id: str) -> tuple[Owner | None, str]:
    """The run that the workflow owns, if any, and its engine status; both locked.

    It locks the run first, in the same order as a step of the worker. Raises Missing.
    """
    async with tx.cursor(row_factory=class_row(Owner)) as rows:
        owner = await (await rows.execute(SQL["owner"], {"workflow_id": workflow_id})).fetchone()
    status: str | None = await _scalar(tx, "engine_status", workflow_id=workflow_id)
    if status is None:
        raise Missing(f"workflow not found: {workflow_id}")
    return owner, status


async def now(tx: Tx) -> tuple[datetime, str]:
    """The database's clock, and a unique token."""
    async with tx.cursor(row_factory=dict_row) as rows:
        row = await (await rows.execute(SQL["now"])).fetchone()
    if row is None:
        raise RuntimeError("a SELECT without FROM has one row")
    return row["now"], row["token"]


async def keep_audit(tx: Tx, run_id: str, task_key: str, artifact: Left) -> None:
    """Record one accepted action."""
    values = {**asdict(artifact), "inline": Jsonb(artifact.inline)}
    await tx.execute(SQL["keep_audit"], {"run_id": run_id, "task_key": task_key, **values})


async def cancel(tx: Tx, workflow_id: str, owner: Owner | None, token: str) -> None:
    """Cancel the workflow, its children and its run, and order that its patches are taken back."""
    await tx.execute(SQL["cancel_engine"], {"workflow_id": workflow_id})
    if owner is not None:
        await tx.execute(SQL["cancel_run"], {"run_id": owner.id})
        await tx.execute(SQL["close_gates"], {"workflow_id": workflow_id})
        compensation = {
            "run_id": owner.id,
            "compensation_id": f"comp:{workflow_id}:{token}",
            "workflow_name": workflows.COMPENSATION,
        }
        await tx.execute(SQL["compensate"], compensation)


async def resume(tx: Tx, workflow_id: str) -> list[str]:
    """Let the workflow go on; return the purposes of the gates that ask again."""
    named = {"run": workflows.RUN, "task": workflows.TASK}
    await tx.execute(SQL["resume_engine"], {"workflow_id": workflow_id, **named})
    async with tx.cursor(row_factory=scalar_row) as rows:
        values = {"workflow_id": workflow_id}
        return await (await rows.execute(SQL["reopen_gates"], values)).fetchall()


async def resume_run(tx: Tx, run_id: str, next_action: str | None) -> None:
    """Set the run's status to the one that it would have without the cancellation."""
    await tx.execute(SQL["resume_run"], {"run_id": run_id, "next_action": next_action})


async def patches_stand(tx: Tx, run_id: str) -> bool:
    """Whether all of the run's newest patches are still written."""
    return bool(await _scalar(tx, "patches_stand", run_id=run_id))


async def fork_run(tx: Tx, fork: Fork, owner_id: str, fork_run_id: str, steps: list[str]) -> None:
    """Create a run of its own, with the source's steps that it does not repeat."""
    values = {
        "run_id": owner_id,
        "fork_run_id": fork_run_id,
        "fork_id": fork.fork_id,
        "app_version": fork.app_version,
        "last_step": steps[-1] if steps else None,
    }
    await tx.execute(SQL["fork_run"], values)
    await tx.execute(SQL["fork_steps"], {**values, "steps": steps})


async def fork_workflow(tx: Tx, fork: Fork, queue_name: str, named: dict[str, Any]) -> None:
    """Create a workflow of its own, with the recorded operations before its start."""
    values = {**asdict(fork), "queue_name": queue_name, "named_args": json.dumps(named)}
    for name in ("fork_engine", "fork_operations", "fork_link"):
        await tx.execute(SQL[name], values)


async def named_inputs(tx: Tx, workflow_id: str) -> dict[str, Any]:
    """The named arguments that the workflow was started with."""
    text: str | None = await _scalar(tx, "inputs", workflow_id=workflow_id)
    found: dict[str, Any] = json.loads(text or "{}").get("namedArgs", {})
    return found


async def repair(tx: Tx, run_id: str) -> str | None:
    """Start a repair; return its execution, or None if the run's state allows no repair."""
    found: str | None = await _scalar(tx, "repair", run_id=run_id, workflow_name=workflows.REPAIR)
    return found


async def done_steps(tx: Tx, run_id: str) -> list[str]:
    """The recorded steps of the run."""
    async with tx.cursor(row_factory=scalar_row) as rows:
        return await (await rows.execute(SQL["done_steps"], {"run_id": run_id})).fetchall()


async def _scalar(tx: Tx, name: str, **values: object) -> Any:
    async with tx.cursor(row_factory=scalar_row) as rows:
        return await (await rows.execute(SQL[name], values)).fetchone()
