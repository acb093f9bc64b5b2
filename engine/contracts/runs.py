"""Bodies of starts and of the run header."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue

from engine.contracts.base import Digest, Millis, Name, View, Wire
from engine.contracts.budgets import Budget, Count, Positive
from engine.core.policy import Options

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
    workflow_name: Literal["RunIntent"]
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


class RunStarted(RunHeader):
    """The header of a run that was started now or before (D2)."""

    is_replay: bool
