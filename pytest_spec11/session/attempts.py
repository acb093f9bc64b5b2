"""One test while it runs: what it looked at, what it asserted, and what voids it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any, Final

# From good to bad: of two outcomes that one phase had, the later word counts.
_WORSE: Final[Mapping[str, int]] = MappingProxyType(
    {"passed": 0, "xpassed": 1, "skipped": 2, "xfailed": 3, "failed": 4}
)


@dataclass(frozen=True, slots=True)
class Void:
    """Why a test that passed proves nothing: a code of the judge, and words."""

    code: str
    text: str


@dataclass(slots=True)
class Attempt:
    """One attempt of a test: outcome by phase, assertions that held, reasons not to believe it."""

    number: int
    phases: dict[str, str] = field(default_factory=dict)
    assertions: int = 0
    informed: int = 0  # of those, after the first observation
    observations: int = 0
    voids: list[Void] = field(default_factory=list)
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
            "voids": [asdict(each) for each in self.voids],
            "message": self.message or "; ".join(each.text for each in self.voids),
        }


class Trial:
    """A test under way. Each setup phase begins a new attempt; the first is the one that counts."""

    def __init__(self, node: str) -> None:
        self.node = node
        self.attempts = [Attempt(1)]
        self._strangers = set(threading.enumerate()) - {threading.current_thread()}
        self._fixtures: set[threading.Thread] | None = None

    @property
    def attempt(self) -> Attempt:
        """The attempt under way."""
        return self.attempts[-1]

    def setup_began(self) -> None:
        """A setup begins: the first, or that of the next attempt."""
        if self.attempt.phases:
            self.attempts.append(Attempt(len(self.attempts) + 1))

    def call_began(self) -> None:
        """The test itself begins: threads that run by now are those of fixtures."""
        self._fixtures = set(threading.enumerate())

    def phase_ended(self, when: str, outcome: str, message: str) -> None:
        """The phase, or a part of it, ended so; the worst word and the first message are kept."""
        phases = self.attempt.phases
        phases[when] = max(phases.get(when, outcome), outcome, key=_WORSE.__getitem__)
        self.attempt.message = self.attempt.message or message

    def note_observation(self) -> None:
        """An oracle looked at something for this test."""
        self.attempt.observations += 1

    def note_assertion(self) -> bool:
        """Whether an assertion that held is this test's: not of a thread from before it began."""
        if threading.current_thread() in self._strangers:
            return False
        self.attempt.assertions += 1
        self.attempt.informed += bool(self.attempt.observations)
        return True

    def void(self, code: str, text: str) -> None:
        """Whatever the outcome, this attempt proves nothing."""
        self.attempt.voids.append(Void(code, text))

    def note_threads(self) -> None:
        """Threads that the test began and left running void it: they may yet fail."""
        if self._fixtures is not None:
            begun = set(threading.enumerate()) - self._fixtures
            if left := sorted(each.name for each in begun if not each.daemon):
                self.void("E-THREAD", f"threads left running: {', '.join(left)}")
