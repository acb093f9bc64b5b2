"""What a run is, the words for where it stands, and what starting it twice means (D3, D10)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Final

from engine.core.canon import Json
from engine.core.queues import INTENT
from engine.errors import Drift

PRIORITY_OF_LANE: Final[Mapping[str, int]] = {"interactive": 1, "batch": 1000}


class RunState(StrEnum):
    """Where a run stands, as ``app.runs.status`` says it."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING_INPUT = "waiting_input"
    REPAIRING = "repairing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    RETRIES_EXCEEDED = "retries_exceeded"
    CANCELED = "canceled"


class Status(StrEnum):
    """Where a run stands, as the API says it."""

    ENQUEUED = "ENQUEUED"
    PENDING = "PENDING"
    WAITING_INPUT = "WAITING_INPUT"
    SUCCESS = "SUCCESS"
    ERROR = "ERROR"
    CANCELLED = "CANCELLED"


class Rank(IntEnum):
    """How far along a status is; a header never falls back."""

    QUEUED = 1
    MOVING = 2
    WAITING = 3
    TERMINAL = 4


OF_APP: Final[Mapping[str, Status]] = {
    RunState.QUEUED: Status.ENQUEUED,
    RunState.RUNNING: Status.PENDING,
    RunState.REPAIRING: Status.PENDING,
    RunState.WAITING_INPUT: Status.WAITING_INPUT,
    RunState.SUCCEEDED: Status.SUCCESS,
    RunState.FAILED: Status.ERROR,
    RunState.RETRIES_EXCEEDED: Status.ERROR,
    RunState.CANCELED: Status.CANCELLED,
}
OF_ENGINE: Final[Mapping[str, Status]] = {
    "ENQUEUED": Status.ENQUEUED,
    "DELAYED": Status.ENQUEUED,
    "PENDING": Status.PENDING,
    "SUCCESS": Status.SUCCESS,
    "ERROR": Status.ERROR,
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED": Status.ERROR,
    "CANCELLED": Status.CANCELLED,
}
RANKS: Final[Mapping[Status, Rank]] = {
    Status.ENQUEUED: Rank.QUEUED,
    Status.PENDING: Rank.MOVING,
    Status.WAITING_INPUT: Rank.WAITING,
    Status.SUCCESS: Rank.TERMINAL,
    Status.ERROR: Rank.TERMINAL,
    Status.CANCELLED: Rank.TERMINAL,
}
TERMINAL: Final = frozenset(
    word for word, status in OF_APP.items() if RANKS[status] is Rank.TERMINAL
)


def merge_status(app: str, engine: str | None) -> Status:
    """The header's status: the further of the two rows, the app row's where they tie (D10).

    Raises KeyError for a word outside the tables.
    """
    ours = OF_APP[app]
    theirs = ours if engine is None else OF_ENGINE[engine]
    return theirs if RANKS[theirs] > RANKS[ours] else ours


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One accepted intent. Everything here is fixed at the first start."""

    id: str
    workflow_id: str
    intent_hash: str
    recipe_id: str
    recipe_v: str
    recipe_hash: str
    trace_id: str | None
    tenant_id: str | None
    queue_partition_key: str | None
    lane: str
    priority: int
    timeout_ms: int | None
    workload: Json
    budget: Json
    gate_ttl_s: int
    app_version: str
    queue_name: str = INTENT


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run got. The worker moves this; the ingress only sees it at its start."""

    created_at: datetime
    updated_at: datetime
    execution_id: str
    status: str = RunState.QUEUED
    last_step: str | None = None
    next_action: str | None = None
    error: str | None = None
    retry_count: int = 0
    served_by: str | None = None


COMPARED: Final = (
    "recipe_id",
    "recipe_v",
    "recipe_hash",
    "tenant_id",
    "queue_partition_key",
    "budget",
    "lane",
    "priority",
    "workload",
    "timeout_ms",
)


@dataclass(frozen=True, slots=True)
class Difference:
    """One column of ``app.runs`` in which a repeat is not a repeat."""

    field: str
    existing: Json
    incoming: Json


def differences(wanted: Run, stored: Run) -> tuple[Difference, ...]:
    """What the caller sent differently from what is stored; a traceId may change (D3)."""
    names = [name for name in COMPARED if getattr(stored, name) != getattr(wanted, name)]
    if "lane" in names and _follows_lane(wanted) and _follows_lane(stored):
        names = [name for name in names if name != "priority"]  # nobody asked for one
    return tuple(Difference(name, getattr(stored, name), getattr(wanted, name)) for name in names)


def _follows_lane(run: Run) -> bool:
    return run.priority == PRIORITY_OF_LANE[run.lane]


def drift(workflow_id: str, found: tuple[Difference, ...]) -> Drift:
    """The refusal that names every field in ``found``."""
    names = ", ".join(item.field for item in found)
    return Drift(
        f"Divergence in run {workflow_id}: identity drift on {names}",
        drift=[
            {"field": item.field, "existing": item.existing, "incoming": item.incoming}
            for item in found
        ],
    )


def require_same(wanted: Run, stored: Run) -> None:
    """A second start may only repeat the first. Raises Drift, naming every difference."""
    if found := differences(wanted, stored):
        raise drift(stored.workflow_id, found)
