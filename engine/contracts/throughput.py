"""Bodies of the engine's recent throughput."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from engine.contracts.base import Digest, Millis, View

Count = Annotated[int, Field(ge=0)]
Figure = Annotated[float, Field(allow_inf_nan=False)]
Millisecs = Annotated[float, Field(ge=0, allow_inf_nan=False)]
SQL_APP: Literal["sql:app"] = "sql:app"
SQL_SYS: Literal["sql:sys"] = "sql:sys"
FILE: Literal["file"] = "file"


class Sourced(View):
    """A row with its source: what was read, by which rule, and where to read it again."""

    source: Literal["sql:sys", "sql:app", "file"]
    provenance: Annotated[str, Field(min_length=1)]
    raw_ref: Annotated[str, Field(pattern=r"^\w+:\S+$")]


class FairnessRow(Sourced):
    """One partition of one queue, in one status."""

    queue_name: str
    partition_key: str | None
    status: str
    workflow_count: Count
    started_count: Count
    max_latency_ms: int | None
    oldest_created_at: Millis
    newest_created_at: Millis


class PriorityRow(Sourced):
    """One priority in one queue, in one status; latency is the time from creation to start."""

    queue_name: str
    priority: int
    status: str
    workflow_count: Count
    started_count: Count
    avg_latency_ms: int | None
    p95_latency_ms: int | None
    max_latency_ms: int | None


class BudgetRow(Sourced):
    """One limit that a run exceeded."""

    run_id: str
    metric: str
    unit: str
    limit: Count
    observed: Count
    outcome: str
    ts: Millis


class TemplateRow(Sourced):
    """The sandboxes and times of tasks with the same dependencies."""

    recipe_id: str
    recipe_v: str
    template_key: str
    selection: Literal["hot", "cold"]
    template_id: str | None
    run_count: Count
    avg_boot_ms: Count
    avg_exec_ms: Count


class Threshold(View):
    """One limit of a load lane, and its result."""

    metric: Annotated[str, Field(min_length=1)]
    limit: Figure
    observed: Figure
    ok: bool = Field(alias="pass")


class LoadFile(View):
    """The file that a load lane writes at its end, under its own name."""

    name: Annotated[str, Field(min_length=1)]
    started_at: Millis
    finished_at: Millis
    samples: Count
    avg_ms: Millisecs
    p95_ms: Millisecs
    p99_ms: Millisecs
    thresholds: Annotated[list[Threshold], Field(min_length=1)]


class LoadRow(Sourced):
    """One load lane with the values of its file; ``fault`` says why a file could not be read."""

    name: str
    ok: bool = Field(alias="pass")
    fault: str | None
    sha256: Digest
    ts: Millis | None
    samples: Count | None
    avg_ms: Millisecs | None
    p95_ms: Millisecs | None
    p99_ms: Millisecs | None
    thresholds: list[Threshold]


class Throughput(View):
    """The last hour of queues and sandboxes, the newest budget violations, the load lanes."""

    fairness: list[FairnessRow]
    priority: list[PriorityRow]
    budgets: list[BudgetRow]
    templates: list[TemplateRow]
    load: list[LoadRow]
