"""Bodies of ``POST /api/run`` and ``POST /api/runs``; the run header, its steps and its ledger."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from engine.contracts.base import Wire
from engine.core.policy import Options

Text = Annotated[str, Field(min_length=1, max_length=1024)]
Positive = Annotated[int, Field(ge=1, le=2**31 - 1)]
Amount = Annotated[int, Field(ge=0, le=2**31 - 1)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class RecipeRef(Wire):
    """A pinned recipe: id and version, never just the id."""

    id: Text
    v: Text


class Workload(Wire):
    """How much the caller means to run."""

    concurrency: Amount
    steps: Amount
    sandbox_minutes: Amount


class Budget(Wire):
    """What the run may cost at most (D27)."""

    max_fanout: Positive
    max_sbx_minutes: Annotated[Positive, Field(alias="maxSBXMinutes")]
    max_artifacts_mb: Annotated[Positive, Field(alias="maxArtifactsMB")]
    max_retries_per_step: Amount
    max_wall_clock_ms: Annotated[Positive, Field(alias="maxWallClockMS")]


class StartOptions(Wire):
    """What a caller may ask for beside the form; JSON null means absent (D4)."""

    trace_id: Text | None = None
    queue_name: Literal["compileQ", "sbxQ", "controlQ", "intentQ"] | None = None
    lane: Literal["interactive", "batch"] | None = None
    priority: Positive | None = None
    deduplication_id: Annotated[Text | None, Field(alias="deduplicationID")] = None
    timeout_ms: Annotated[int | None, Field(alias="timeoutMS", ge=1, le=2**53 - 1)] = None
    recipe_name: Text | None = None
    recipe_version: Text | None = None
    workload: Workload | None = None
    tenant_id: Annotated[str, Field(max_length=1024)] | None = None
    task_key: Text | None = None
    queue_partition_key: Annotated[str, Field(max_length=1024)] | None = None
    budget: Budget | None = None

    def to_options(self) -> Options:
        """The only way from the wire into the core."""
        values = self.model_dump(by_alias=False, exclude={"workload", "budget"})
        known = {name: values[name] for name in Options.__dataclass_fields__ if name in values}
        return Options(**known, workload=_plain(self.workload), budget=_plain(self.budget))


def _plain(part: Wire | None) -> dict[str, int] | None:
    return None if part is None else part.model_dump(by_alias=True)


class RunStartRequest(Wire):
    """Body of ``POST /api/run``. Unknown keys are a 400, not a shrug."""

    recipe_ref: RecipeRef
    form_data: dict[str, JsonValue]
    opts: StartOptions | None = None


class CompatRunRequest(StartOptions):
    """Body of ``POST /api/runs``: a stored intent, and the options beside it."""

    intent_id: Text


class RunError(Wire):
    """Why a run failed."""

    message: str


class RunHeader(Wire):
    """Everything about a run but its steps; every key always present."""

    workflow_id: Annotated[str, Field(alias="workflowID")]
    run_id: str
    recipe_ref: RecipeRef
    recipe_hash: Digest
    intent_hash: Digest
    status: Literal["ENQUEUED", "PENDING", "WAITING_INPUT", "SUCCESS", "ERROR", "CANCELLED"]
    durable_status: str
    workflow_name: str
    created_at: int
    updated_at: int
    queue: str
    queue_partition_key: str | None
    lane: Literal["interactive", "batch"]
    priority: Positive
    trace_id: str | None
    span_id: str | None
    next_action: str | None
    last_step: str | None
    retry_count: Amount
    error: RunError | None
    output: JsonValue
    topology: str
    runtime_mode: str
    oc_mode: str
    sbx_mode: str
    sbx_provider: str
    oc_strict_mode: bool
    app_version: str
    claim_scope: str
    workflow_version: str | None
    execution_id: Annotated[str, Field(alias="executionID")]


class StartedRun(RunHeader):
    """Answer to a start: the header, and whether this was a repeat (D2)."""

    is_replay: bool


class ArtifactRef(Wire):
    """Where one artifact of a step is."""

    id: str
    kind: str
    sha256: Digest


class StepRow(Wire):
    """The newest attempt of one of the domain's steps (D9)."""

    step_id: Annotated[str, Field(alias="stepID")]
    name: str
    phase: str
    status: Literal["SUCCESS"]
    attempt: Positive
    started_at: int
    ended_at: int
    artifact_refs: list[ArtifactRef]
    trace_id: str | None
    span_id: str | None


class InteractionRow(Wire):
    """One accepted answer, without its payload."""

    workflow_id: Annotated[str, Field(alias="workflowID")]
    gate_key: str
    topic: str
    dedupe_key: str
    payload_hash: Digest
    origin: str
    created_at: int
