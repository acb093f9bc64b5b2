"""The operations on workflows: legality first, then effect and audit in one transaction (D23)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from engine.core import gates, identity
from engine.core import ops as rules
from engine.core import runs as words
from engine.core.canon import Json
from engine.core.queues import CONTROL
from engine.errors import IllegalState
from engine.store import Tx, runs
from engine.store import ops as store
from engine.store.ops import Fork, Operation, Owner, Summary
from engine.usecases import step_artifacts
from engine.usecases.step_artifacts import Made

STEP: Final = "OPS"
NEXT_ACTIONS: Final = {
    ask.purpose: ask.next_action for ask in (gates.APPROVE, *gates.PARALLEL, gates.QUESTION)
}


@dataclass(frozen=True, slots=True)
class By:
    """Who acts, and why."""

    actor: str
    reason: str


async def load_workflow(tx: Tx, workflow_id: str) -> tuple[Summary, list[dict[str, Any]]]:
    """The workflow and its audit, newest first. Raises Missing. Writes nothing."""
    summary = await store.one(tx, workflow_id)
    run_id = await store.run_of(tx, workflow_id)
    return summary, await store.audit(tx, [each for each in (run_id, workflow_id) if each])


async def steps(tx: Tx, workflow_id: str) -> list[Operation]:
    """The workflow's operations that the durable engine recorded. Raises Missing."""
    await store.one(tx, workflow_id)
    return await store.operations(tx, workflow_id)


async def cancel(tx: Tx, workflow_id: str, by: By) -> None:
    """End the workflow as CANCELLED in both schemas (D12). Raises Missing, IllegalState."""
    async with tx.transaction():
        owner, status = await store.lock_workflow(tx, workflow_id)
        rules.require_cancelable(_standing(owner, status))
        token = await _record_audit(tx, "cancel", workflow_id, by)
        await store.cancel(tx, workflow_id, owner, token)


async def resume(tx: Tx, workflow_id: str, by: By) -> None:
    """Let the canceled workflow go on under its own id. Raises Missing, IllegalState."""
    async with tx.transaction():
        owner, status = await store.lock_workflow(tx, workflow_id)
        rules.require_resumable(status)
        await _record_audit(tx, "resume", workflow_id, by)
        purposes = await store.resume(tx, workflow_id)
        if owner is not None:
            await store.resume_run(tx, owner.id, _next_action(purposes))


def _next_action(purposes: Sequence[str]) -> str | None:
    return NEXT_ACTIONS[purposes[0]] if purposes else None


async def fork(tx: Tx, workflow_id: str, step_n: int, app_version: str | None, by: By) -> str:
    """Create a workflow that goes on from ``step_n``; return its id. Its source is unchanged (D13).

    A fork of a run is a run of its own. Raises Missing, IllegalState.
    """
    async with tx.transaction():
        owner, _ = await store.lock_workflow(tx, workflow_id)
        done = await store.load_done_steps(tx, workflow_id)
        stand = owner is None or await store.patches_stand(tx, owner.id)
        start = rules.fork_start(done, step_n, patches_stand=stand)
        _, token = await store.now(tx)
        made = Fork(
            workflow_id=workflow_id, fork_id=f"fork_{token}", start=start, app_version=app_version
        )
        await _record_audit(tx, "fork", workflow_id, by, made.fork_id)
        if owner is None:
            named = await store.named_inputs(tx, workflow_id)
            await store.fork_workflow(tx, made, CONTROL, named)
        else:
            kept = rules.kept_steps(done, start)
            await store.fork_run(tx, made, owner.id, identity.run_id(made.fork_id), kept)
            named = {"workflow_id": made.fork_id}
            await store.fork_workflow(tx, made, owner.queue_name, named)
    return made.fork_id


async def repair(tx: Tx, wid: str) -> tuple[str, str, str, str]:
    """Begin a repair; return workflow id, run id, the new execution, and its first step.

    Raises Missing, and IllegalState for a run that has not failed.
    """
    async with tx.transaction():
        run, progress = await runs.load(tx, wid)
        done = await store.done_steps(tx, run.id)
        execution_id = await store.repair(tx, run.id)
        if execution_id is None:
            message = f"cannot retry run in status {progress.status}"
            raise IllegalState(message, code="illegal_state")
    return run.workflow_id, run.id, execution_id, rules.first_undone(done)


def _standing(owner: Owner | None, status: str) -> str:
    """The status that counts: that of an ended run, even if its engine row is behind."""
    if owner is None or owner.status not in words.TERMINAL:
        return status
    return str(words.merge_status(owner.status, status))


async def _record_audit(tx: Tx, op: str, target: str, by: By, forked: str | None = None) -> str:
    """Record the action in the transaction of its effect, under a unique token."""
    at, token = await store.now(tx)
    said: dict[str, Json] = {
        "op": op,
        "targetWorkflowID": target,
        "actor": by.actor,
        "reason": by.reason,
        "at": at.isoformat(),
        "forkedWorkflowID": forked,
        "outcome": "applied",
    }
    run_id = await store.run_of(tx, target) or target
    task_key = f"op-intent:{op}:{token}"
    made = Made("json_diagnostic", f"op-intent-{op}.json", said)
    await store.keep_audit(
        tx, run_id, task_key, step_artifacts.one(run_id, STEP, made, task_key, 0)
    )
    return token
