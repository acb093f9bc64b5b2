"""One test while it runs: what it looked at, what it asserted, and what voids it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any, Final

_LINES_KEPT: Final = 50


@dataclass(slots=True)
class Attempt:
    """One attempt of a test: outcome by phase, assertions that held, reasons not to believe it."""

    number: int
    phases: dict[str, str] = field(default_factory=dict)
    assertions: int = 0
    informed: int = 0  # of those, after the first observation
    lines: set[int] = field(default_factory=set)
    observations: int = 0
    voids: list[str] = field(default_factory=list)
    message: str = ""

    def record(self) -> dict[str, Any]:
        """The attempt as a journal keeps it."""
        return {
            "attempt": self.number,
            "phases": dict(self.phases),
            "assertions": self.assertions,
            "informedAssertions": self.informed,
            "lines": sorted(self.lines)[:_LINES_KEPT],
            "observations": self.observations,
            "voids": list(self.voids),
            "message": self.message,
        }


class Trial:
    """A test under way. Each setup phase begins a new attempt; the first is the one that counts."""

    def __init__(self, nodeid: str) -> None:
        self.nodeid = nodeid
        self.attempts: list[Attempt] = []
        self._threads = set(threading.enumerate())

    @property
    def attempt(self) -> Attempt:
        """The attempt under way."""
        if not self.attempts:
            self.attempts.append(Attempt(1))
        return self.attempts[-1]

    def phase_began(self, when: str) -> None:
        """A phase begins; ``setup`` after another attempt's end is the next attempt."""
        if when == "setup" and self.attempts and self.attempts[-1].phases:
            self.attempts.append(Attempt(len(self.attempts) + 1))

    def phase_ended(self, when: str, outcome: str, message: str) -> None:
        """The phase ended so; a failure keeps the last line of its report."""
        self.attempt.phases[when] = outcome
        if message and not self.attempt.message:
            self.attempt.message = message

    def observed(self) -> None:
        """An oracle looked at something for this test."""
        self.attempt.observations += 1

    def asserted(self, line: int) -> None:
        """An assertion of the test held."""
        self.attempt.assertions += 1
        self.attempt.lines.add(line)
        if self.attempt.observations:
            self.attempt.informed += 1

    def void(self, reason: str) -> None:
        """Whatever the outcome, this attempt proves nothing."""
        self.attempt.voids.append(reason)

    def note_threads(self) -> None:
        """Threads that the test began and left running make it void: they may yet fail."""
        left = {each.name for each in set(threading.enumerate()) - self._threads if not each.daemon}
        if left:
            self.void(f"threads left running: {', '.join(sorted(left))}")
