"""Bodies of the operations on workflows."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from engine.contracts.base import Millis, Name, View, Wire

Said = Annotated[str, Field(max_length=256, pattern=r"\S")]  # white space alone is not a reason
EngineStatus = Literal[
    "ENQUEUED",
    "DELAYED",
    "PENDING",
    "SUCCESS",
    "ERROR",
    "CANCELLED",
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED",
]


class WorkflowsQuery(Wire):
    """Which workflows, and how many."""

    status: EngineStatus | None = None
    name: Name | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 20


class Action(Wire):
    """Who acts, and why."""

    actor: Said
    reason: Said


class ForkAction(Action):
    """The same, with the first step of the fork; ``appVersion`` moves the fork to other code."""

    step_n: Annotated[int, Field(ge=1, le=2**31 - 1)]
    app_version: Name | None = None


class WorkflowSummary(View):
    """One workflow of the durable engine."""

    workflow_id: str = Field(alias="workflowID")
    status: str
    workflow_name: str
    workflow_class_name: str | None
    queue_name: str | None
    application_version: str | None
    parent_workflow_id: str | None = Field(alias="parentWorkflowID")
    forked_from: str | None
    created_at: Millis
    updated_at: Millis


class AuditRow(View):
    """One accepted action."""

    op: str
    actor: str
    reason: str
    at: str
    target_workflow_id: str = Field(alias="targetWorkflowID")
    forked_workflow_id: str | None = Field(alias="forkedWorkflowID")
    outcome: Literal["applied"]


class WorkflowDetail(WorkflowSummary):
    """One workflow with its audit, newest first."""

    audit: list[AuditRow]


class WorkflowStep(View):
    """One operation that the durable engine recorded."""

    step_id: str
    function_id: Annotated[int, Field(ge=0)]
    status: Literal["PENDING", "SUCCESS", "ERROR"]
    started_at: Millis | None
    completed_at: Millis | None
    error: str | None
    child_workflow_id: str | None = Field(alias="childWorkflowID")


class Accepted(View):
    """The action took effect, together with its audit."""

    accepted: Literal[True]
    workflow_id: str = Field(alias="workflowID")


class ForkAccepted(Accepted):
    """The same, with the id of the new workflow."""

    forked_workflow_id: str = Field(alias="forkedWorkflowID")


class RepairAccepted(Accepted):
    """An execution of its own repairs the run, from its first unfinished step on."""

    new_run_id: str
    execution_id: str = Field(alias="executionID")
    from_step: str
