"""What a run may cost at most, and the first limit that is exceeded (D27)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Self, TypeAlias

from engine.core.canon import Json
from engine.errors import RunFailed

Limits: TypeAlias = "Mapping[str, int]"  # by the wire names of the metrics, all of them there

STEP: Final = "BUDGET"
KIND: Final = "budget"
BLOCKED: Final = "blocked"
MIB: Final = 1024 * 1024
MINUTE_MS: Final = 60_000


class Metric(StrEnum):
    """What is limited, as the wire names it."""

    FANOUT = "maxFanout"
    MINUTES = "maxSBXMinutes"
    MEGABYTES = "maxArtifactsMB"
    RETRIES = "maxRetriesPerStep"
    WALL_CLOCK = "maxWallClockMS"


class Scope(StrEnum):
    """Where a limit was met: at the door, or by a run on its way."""

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
    """One limit that is exceeded, and by what."""

    metric: Metric
    limit: int
    observed: int
    scope: Scope = Scope.RUNTIME

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """The excess that a document tells of."""
        metric, scope = Metric(document["metric"]), Scope(document["scope"])
        return cls(metric, document["limit"], document["observed"], scope)

    @property
    def reason(self) -> str:
        """It, in the words that callers and operators get."""
        found = f"observed {self.observed} > limit {self.limit}"
        return f"budget:{self.metric}: {found} ({self.scope})"

    @property
    def document(self) -> dict[str, Json]:
        """It, as it is stored and as every reader gets it."""
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
    """A run ends because it exceeds a limit, or because going on would."""

    def __init__(self, excess: Excess) -> None:
        super().__init__(excess.reason)
        self.excess = excess


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What the execution that owns a run has cost so far, by recorded rows and times alone.

    ``active_ms`` leaves out every wait: for a slot, for a person, for a resumption.
    """

    minutes: int
    output_bytes: int
    active_ms: int

    @property
    def measurements(self) -> dict[Metric, int]:
        """It, in the units of the limits."""
        return {
            Metric.MINUTES: self.minutes,
            Metric.MEGABYTES: -(-self.output_bytes // MIB),
            Metric.WALL_CLOCK: self.active_ms,
        }


def find_excess(
    limits: Limits | None, observed: Mapping[Metric, int], scope: Scope = Scope.RUNTIME
) -> Excess | None:
    """The first limit, in the order of ``observed``, that is exceeded; to meet one is allowed."""
    if limits is None:
        return None
    found = (
        Excess(metric, limits[metric], value, scope)
        for metric, value in observed.items()
        if value > limits[metric]
    )
    return next(found, None)


def has_room(limits: Limits | None, minutes: int, under_way: int) -> bool:
    """Whether one more task may be under way: each is billed a minute at least.

    Where no minute is left one task at a time goes on, and the first that is billed ends the run.
    """
    return limits is None or not under_way or minutes + under_way < limits[Metric.MINUTES]


def output_left(limits: Limits, output_bytes: int) -> int:
    """How many bytes of the next output are kept, after so many."""
    return max(0, limits[Metric.MEGABYTES] * MIB - output_bytes)


def time_left_ms(limits: Limits, spent: Spent) -> int:
    """How long the run may still move."""
    return max(0, limits[Metric.WALL_CLOCK] - spent.active_ms)


def billed_minutes(wall_ms: int) -> int:
    """What an attempt of that length is billed: minutes begun."""
    return -(-wall_ms // MINUTE_MS)
