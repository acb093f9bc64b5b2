"""Workflows: by which names the durable engine knows them, and what it says about one execution."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final, Literal

from engine.core.canon import Json

RunName = Literal["RunIntent"]
RUN: Final[RunName] = "RunIntent"
TASK: Final = "RunTask"
REPAIR: Final = "RepairIntent"
COMPENSATION: Final = "Compensate"
ESCALATION: Final = "EscalateTimeout"
PROMOTION: Final = "PromoteRecipe"
DEMO: Final = "CrashDemo"
TICK: Final = "Tick"
NAMES: Final = frozenset({RUN, TASK, REPAIR, COMPENSATION, ESCALATION, PROMOTION, DEMO, TICK})
UNFINISHED: Final = frozenset({"ENQUEUED", "DELAYED", "PENDING"})


@dataclass(frozen=True, slots=True)
class Workflow:
    """What the durable engine says about one execution."""

    status: str
    application_version: str | None
    output: str | None

    @property
    def has_ended(self) -> bool:
        """Whether it is over, however it went."""
        return self.status not in UNFINISHED

    @property
    def result(self) -> Json:
        """What the workflow returned, if it did: portable JSON."""
        value: Json = None if self.output is None else json.loads(self.output)
        return value
