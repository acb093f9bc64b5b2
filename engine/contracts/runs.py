"""Bodies of starts and of the run header."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal, Self

from pydantic import Field, JsonValue

from engine.contracts.base import Digest, Millis, Name, View, Wire, millis
from engine.contracts.budgets import Budget, Count, Positive
from engine.core.policy import Options
from engine.core.posture import Posture
from engine.core.runs import Progress, Run, merge_status
from engine.core.workflows import RUN, RunName, Workflow

Priority = Annotated[int, Field(ge=1, le=2**31 - 1)]
Lane = Literal["interactive", "batch"]
Queue = Literal["compileQ", "sbxQ", "controlQ", "intentQ"]


class RecipeRef(Wire):
    """A pinned recipe: id and version, never only the id."""

    id: Annotated[Name, Field(min_length=1)]
    v: Annotated[Name, Field(min_length=1)]


class Workload(Wire):
    """The work that a run expects."""

    concurrency: Count
    steps: Count
    sandbox_minutes: Count


class RunOptions(Wire):
    """What a caller may set in addition to the form. JSON null means absent (D4)."""

    trace_id: Name | None = None
    queue_name: Queue | None = None
    lane: Lane | None = None
    priority: Priority | None = None
    deduplication_id: Name | None = Field(default=None, alias="deduplicationID")
    timeout_ms: Positive | None = Field(default=None, alias="timeoutMS")
    recipe_name: Name | None = None
    recipe_version: Name | None = None
    workload: Workload | None = None
    tenant_id: Name | None = None
    task_key: Name | None = None
    queue_partition_key: Name | None = None
    budget: Budget | None = None

    def to_core(self) -> Options:
        """The only way from the wire into the core."""
        return Options(
            trace_id=self.trace_id,
            queue_name=self.queue_name,
            lane=self.lane,
            priority=self.priority,
            deduplication_id=self.deduplication_id,
            timeout_ms=self.timeout_ms,
            recipe_name=self.recipe_name,
            recipe_version=self.recipe_version,
            workload=_document(self.workload),
            tenant_id=self.tenant_id,
            task_key=self.task_key,
            queue_partition_key=self.queue_partition_key,
            budget=_document(self.budget),
        )


def _document(part: Wire | None) -> dict[str, int] | None:
    """``part`` in the stored form, which comparisons use: by its wire names."""
    return None if part is None else part.model_dump()


class RunStartRequest(Wire):
    """Body of ``POST /api/run``."""

    recipe_ref: RecipeRef
    form_data: dict[str, Any]
    opts: RunOptions | None = None


class CompatRunRequest(RunOptions):
    """Body of ``POST /api/runs``: the options of a stored intent, not nested."""

    intent_id: Annotated[Name, Field(min_length=1)]


class RunError(View):
    """Why a run did not succeed."""

    message: str


class RunHeader(View):
    """The state of a run, and the posture of the process. Every key is always present."""

    workflow_id: str = Field(alias="workflowID")
    run_id: str
    recipe_ref: RecipeRef
    recipe_hash: Digest
    intent_hash: Digest
    status: Literal["ENQUEUED", "PENDING", "WAITING_INPUT", "SUCCESS", "ERROR", "CANCELLED"]
    durable_status: str
    workflow_name: RunName
    created_at: Millis
    updated_at: Millis
    queue: Queue
    queue_partition_key: str | None
    lane: Lane
    priority: Priority
    trace_id: str | None
    span_id: str | None
    next_action: str | None
    last_step: str | None
    retry_count: Count
    error: RunError | None
    output: JsonValue
    topology: str
    runtime_mode: str
    oc_mode: str
    sbx_mode: str
    sbx_provider: str
    oc_strict_mode: bool
    served_by: Literal["live", "replay", "stub"] | None
    app_version: str
    claim_scope: str
    workflow_version: str | None
    execution_id: str = Field(alias="executionID")

    @classmethod
    def of(
        cls,
        run: Run,
        progress: Progress,
        workflow: Workflow | None,
        posture: Posture,
        **more: Any,
    ) -> Self:
        """The header, from app row, engine row and process; ``more``: other keys of the reply."""
        fields: dict[str, Any] = {
            "workflow_id": run.workflow_id,
            "run_id": run.id,
            "recipe_ref": RecipeRef(id=run.recipe_id, v=run.recipe_v),
            "recipe_hash": run.recipe_hash,
            "intent_hash": run.intent_hash,
            "status": str(merge_status(progress.status, workflow.status if workflow else None)),
            "durable_status": str(progress.status),
            "workflow_name": RUN,
            "created_at": millis(progress.created_at),
            "updated_at": millis(progress.updated_at),
            "queue": run.queue_name,
            "queue_partition_key": run.queue_partition_key,
            "lane": run.lane,
            "priority": run.priority,
            "trace_id": run.trace_id,
            "span_id": None,
            "next_action": progress.next_action,
            "last_step": progress.last_step,
            "retry_count": progress.retry_count,
            "error": None if progress.error is None else RunError(message=progress.error),
            "output": workflow.result if workflow else None,
            "served_by": progress.served_by,
            "workflow_version": workflow.application_version if workflow else None,
            "execution_id": progress.execution_id,
        }
        return cls(**fields, **asdict(posture), **more)


class RunStarted(RunHeader):
    """The header of a run that was started now or before (D2)."""

    is_replay: bool
