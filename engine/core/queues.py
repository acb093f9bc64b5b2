"""The queues there are, and the limits that hold on each (D28)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

INTENT: Final = "intentQ"
TASKS: Final = "sbxQ"
CONTROL: Final = "controlQ"
COMPILE: Final = "compileQ"
NAMES: Final = (COMPILE, CONTROL, INTENT, TASKS)
NOBODYS: Final = ""  # the partition of whatever names none; no key that is sent may be blank


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """At most ``starts`` within any ``period_s`` seconds."""

    starts: int
    period_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one queue lets start; None is no limit.

    ``at_once`` bounds one worker, ``everywhere`` all of them together; ``of_one`` and
    ``of_one_everywhere`` are the same of one partition. Without partitions there is one line.
    """

    partitioned: bool
    at_once: int
    of_one: int | None = None
    everywhere: int | None = None
    of_one_everywhere: int | None = None
    rate: Rate | None = None
    rate_of_one: Rate | None = None

    @property
    def slots(self) -> int:
        """How many one worker may have at once: no more than all may have together."""
        return min(self.at_once, self.everywhere or self.at_once)

    @property
    def slots_of_one(self) -> int | None:
        """How many of them may be of one partition: all but one, unless it is said."""
        if not self.partitioned:
            return None
        asked = self.of_one or max(1, self.slots - 1)
        return min(asked, self.slots, self.slots_of_one_everywhere or asked)

    @property
    def slots_of_one_everywhere(self) -> int | None:
        """How many of one partition all workers may have together."""
        if self.of_one_everywhere is None:
            return None
        return min(self.of_one_everywhere, self.everywhere or self.of_one_everywhere)
