"""The limits of a run, and the first exceeded limit (D27)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Self, TypeAlias

from engine.core.canon import Json
from engine.errors import RunFailed

Limits: TypeAlias = "Mapping[str, int]"  # by the wire names of all metrics

STEP: Final = "BUDGET"
KIND: Final = "budget"
BLOCKED: Final = "blocked"
MIB: Final = 1024 * 1024
MINUTE_MS: Final = 60_000


class Metric(StrEnum):
    """A limited quantity, by its wire name."""

    FANOUT = "maxFanout"
    MINUTES = "maxSBXMinutes"
    MEGABYTES = "maxArtifactsMB"
    RETRIES = "maxRetriesPerStep"
    WALL_CLOCK = "maxWallClockMS"


class Scope(StrEnum):
    """Where a limit was exceeded: at ingress, or at run time."""

    INGRESS = "ingress"
    RUNTIME = "runtime"


UNITS: Final[Mapping[Metric, str]] = {
    Metric.FANOUT: "count",
    Metric.MINUTES: "minutes",
    Metric.MEGABYTES: "mb",
    Metric.RETRIES: "retries",
    Metric.WALL_CLOCK: "ms",
}


@dataclass(frozen=True, slots=True)
class Excess:
    """One exceeded limit, with the observed value."""

    metric: Metric
    limit: int
    observed: int
    scope: Scope = Scope.RUNTIME

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """The excess in a document."""
        metric, scope = Metric(document["metric"]), Scope(document["scope"])
        return cls(metric, document["limit"], document["observed"], scope)

    @property
    def reason(self) -> str:
        """The text for callers and operators."""
        found = f"observed {self.observed} > limit {self.limit}"
        return f"budget:{self.metric}: {found} ({self.scope})"

    @property
    def document(self) -> dict[str, Json]:
        """The document that is stored and that every reader gets."""
        return {
            "kind": KIND,
            "metric": str(self.metric),
            "scope": str(self.scope),
            "limit": self.limit,
            "observed": self.observed,
            "unit": UNITS[self.metric],
            "outcome": BLOCKED,
            "reason": self.reason,
        }


class OverBudget(RunFailed):
    """A run ends because it exceeds a limit, or would exceed it if it went on."""

    def __init__(self, excess: Excess) -> None:
        super().__init__(excess.reason)
        self.excess = excess


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """The costs of the execution that owns a run, only from recorded rows and times.

    ``active_ms`` excludes every wait: for a slot, for a person, for a resumption.
    """

    minutes: int
    output_bytes: int
    active_ms: int

    @property
    def measurements(self) -> dict[Metric, int]:
        """The costs in the units of the limits."""
        return {
            Metric.MINUTES: self.minutes,
            Metric.MEGABYTES: -(-self.output_bytes // MIB),
            Metric.WALL_CLOCK: self.active_ms,
        }


def find_excess(
    limits: Limits | None, observed: Mapping[Metric, int], scope: Scope = Scope.RUNTIME
) -> Excess | None:
    """The first exceeded limit, in the order of ``observed``; equality is allowed."""
    if limits is None:
        return None
    found = (
        Excess(metric, limits[metric], value, scope)
        for metric, value in observed.items()
        if value > limits[metric]
    )
    return next(found, None)


def has_room(limits: Limits | None, minutes: int, under_way: int) -> bool:
    """Whether one more task may run: each is billed at least one minute.

    If no minute is left, one task at a time goes on, and the first billed one ends the run.
    """
    return limits is None or not under_way or minutes + under_way < limits[Metric.MINUTES]


def output_left(limits: Limits, output_bytes: int) -> int:
    """How many bytes of the next output to keep after ``output_bytes``."""
    return max(0, limits[Metric.MEGABYTES] * MIB - output_bytes)


def time_left_ms(limits: Limits, spent: Spent) -> int:
    """The time that the run may still be active, in milliseconds."""
    return max(0, limits[Metric.WALL_CLOCK] - spent.active_ms)


def billed_minutes(wall_ms: int) -> int:
    """The billed minutes of an attempt of that length: each started minute counts."""
    return -(-wall_ms // MINUTE_MS)
