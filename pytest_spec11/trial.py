"""One test while it runs: what it looked at, what it asserted, and what voids it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Attempt:
    """One attempt of a test: outcome by phase, assertions that held, reasons not to believe it."""

    number: int
    phases: dict[str, str] = field(default_factory=dict)
    assertions: int = 0
    informed: int = 0  # of those, after the first observation
    observations: int = 0
    voids: list[str] = field(default_factory=list)
    message: str = ""

    @property
    def outcome(self) -> str:
        """One word for all phases; a pass that something voids is a failure."""
        words = self.phases
        if "failed" in (words.get("setup"), words.get("teardown")) or "call" not in words:
            return "skipped" if words.get("setup") == "skipped" else "error"
        if words["call"] == "passed" and self.voids:
            return "failed"
        return words["call"]

    def record(self) -> dict[str, Any]:
        """The attempt as a journal keeps it."""
        return {
            "attempt": self.number,
            "outcome": self.outcome,
            "phases": dict(self.phases),
            "assertions": self.assertions,
            "informed": self.informed,
            "observations": self.observations,
            "voids": list(self.voids),
            "message": self.message or "; ".join(self.voids),
        }


class Trial:
    """A test under way. Each setup phase begins a new attempt; the first is the one that counts."""

    def __init__(self, node: str) -> None:
        self.node = node
        self.attempts = [Attempt(1)]
        self._threads = set(threading.enumerate())

    @property
    def attempt(self) -> Attempt:
        """The attempt under way."""
        return self.attempts[-1]

    def setup_began(self) -> None:
        """A setup begins: the first, or that of the next attempt."""
        if self.attempt.phases:
            self.attempts.append(Attempt(len(self.attempts) + 1))

    def phase_ended(self, when: str, outcome: str, message: str) -> None:
        """The phase ended so; the first failure's message is kept."""
        self.attempt.phases[when] = outcome
        self.attempt.message = self.attempt.message or message

    def observed(self) -> None:
        """An oracle looked at something for this test."""
        self.attempt.observations += 1

    def asserted(self) -> None:
        """An assertion of the test held."""
        self.attempt.assertions += 1
        self.attempt.informed += bool(self.attempt.observations)

    def void(self, reason: str) -> None:
        """Whatever the outcome, this attempt proves nothing."""
        self.attempt.voids.append(reason)

    def note_threads(self) -> None:
        """Threads that the test began and left running void it: they may yet fail."""
        left = {each.name for each in set(threading.enumerate()) - self._threads if not each.daemon}
        if left:
            self.void(f"threads left running: {', '.join(sorted(left))}")
