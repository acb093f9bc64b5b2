"""The budget of a start, and the document about a violation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from engine.contracts.base import View, Wire

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]


class Budget(Wire):
    """The most that a run may cost."""

    max_fanout: Positive
    max_sbx_minutes: Positive = Field(alias="maxSBXMinutes")
    max_artifacts_mb: Positive = Field(alias="maxArtifactsMB")
    max_retries_per_step: Count
    max_wall_clock_ms: Positive = Field(alias="maxWallClockMS")


class BudgetViolation(View):
    """The document about a limit that a run exceeded. Its writer and every reader use this model.

    It is the whole artifact under step BUDGET, one for each violation.
    """

    kind: Literal["budget"]
    metric: Literal[
        "maxFanout", "maxSBXMinutes", "maxArtifactsMB", "maxRetriesPerStep", "maxWallClockMS"
    ]
    scope: Literal["runtime"]
    limit: Count
    observed: Positive
    unit: Literal["count", "minutes", "mb", "retries", "ms"]
    outcome: Literal["blocked"]
    reason: Annotated[str, Field(pattern=r"^budget:max[A-Za-z]+: observed \d+ > limit \d+ ")]
