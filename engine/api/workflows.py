"""``/api/ops/wf``: exactly six operations on workflows (D23); and the repair of a run (D14)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Literal

from starlette.requests import Request
from starlette.responses import Response

from engine.api import http, parsing
from engine.contracts.ops import (
    Accepted,
    Action,
    AuditRow,
    ForkAccepted,
    ForkAction,
    RepairAccepted,
    WorkflowDetail,
    WorkflowsQuery,
    WorkflowStep,
    WorkflowSummary,
)
from engine.store import ops as store
from engine.store.ops import Operation, Summary
from engine.usecases import ops
from engine.usecases.ops import By


async def list_workflows(request: Request) -> Response:
    """``GET /api/ops/wf``: workflows, the newest first, ties by id."""
    query = parsing.query(request, WorkflowsQuery)
    async with http.ports(request).pool.connection() as tx:
        found = await store.list_workflows(tx, query.status, query.name, query.limit)
    return http.reply_list([WorkflowSummary(**_fields(each)) for each in found])


async def one(request: Request) -> Response:
    """``GET /api/ops/wf/:id``: one workflow with its audit, newest first."""
    async with http.ports(request).pool.connection() as tx:
        summary, audit = await ops.load_workflow(tx, _id(request))
    rows = [AuditRow.model_validate(each) for each in audit]
    return http.reply(WorkflowDetail(**_fields(summary), audit=rows))


async def steps(request: Request) -> Response:
    """``GET /api/ops/wf/:id/steps``: its steps in the durable engine's order."""
    async with http.ports(request).pool.connection() as tx:
        found = await ops.steps(tx, _id(request))
    return http.reply_list([_step(each) for each in found])


async def cancel(request: Request) -> Response:
    """``POST /api/ops/wf/:id/cancel``."""
    body = await parsing.body(request, Action)
    async with http.ports(request).pool.connection() as tx:
        await ops.cancel(tx, _id(request), By(body.actor, body.reason))
    return _reply_accepted(Accepted(accepted=True, workflow_id=_id(request)))


async def resume(request: Request) -> Response:
    """``POST /api/ops/wf/:id/resume``."""
    body = await parsing.body(request, Action)
    async with http.ports(request).pool.connection() as tx:
        await ops.resume(tx, _id(request), By(body.actor, body.reason))
    return _reply_accepted(Accepted(accepted=True, workflow_id=_id(request)))


async def fork(request: Request) -> Response:
    """``POST /api/ops/wf/:id/fork``."""
    body = await parsing.body(request, ForkAction)
    by = By(body.actor, body.reason)
    async with http.ports(request).pool.connection() as tx:
        forked = await ops.fork(tx, _id(request), body.step_n, body.app_version, by)
    return _reply_accepted(
        ForkAccepted(accepted=True, workflow_id=_id(request), forked_workflow_id=forked)
    )


async def repair(request: Request) -> Response:
    """``POST /api/runs/:wid/retry``."""
    await parsing.nothing(request)
    async with http.ports(request).pool.connection() as tx:
        wid, run_id, execution_id, step = await ops.repair(tx, request.path_params["wid"])
    return _reply_accepted(
        RepairAccepted(
            accepted=True,
            workflow_id=wid,
            new_run_id=run_id,
            execution_id=execution_id,
            from_step=step,
        )
    )


def _reply_accepted(view: Accepted) -> Response:
    return http.reply(view, HTTPStatus.ACCEPTED)


def _id(request: Request) -> str:
    workflow_id: str = request.path_params["id"]
    return workflow_id


def _fields(found: Summary) -> dict[str, Any]:
    return {
        "workflow_id": found.workflow_uuid,
        "status": found.status,
        "workflow_name": found.name or found.workflow_uuid,
        "workflow_class_name": found.class_name,
        "queue_name": found.queue_name,
        "application_version": found.application_version,
        "parent_workflow_id": found.parent_workflow_id,
        "forked_from": found.forked_from,
        "created_at": found.created_at,
        "updated_at": found.updated_at,
    }


def _step(found: Operation) -> WorkflowStep:
    return WorkflowStep(
        step_id=found.function_name,
        function_id=found.function_id,
        status=_status(found),
        started_at=found.started_at,
        completed_at=found.completed_at,
        error=found.error,
        child_workflow_id=found.child_workflow_id,
    )


def _status(found: Operation) -> Literal["PENDING", "SUCCESS", "ERROR"]:
    if found.completed_at is None:
        return "PENDING"
    return "SUCCESS" if found.error is None else "ERROR"
