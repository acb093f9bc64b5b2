"""One test while it runs: what it observed, what it asserted, and what makes it void."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any, Final

# From good to bad. If one phase has two outcomes, the later word in this list counts.
_WORSE: Final[Mapping[str, int]] = MappingProxyType(
    {"passed": 0, "xpassed": 1, "skipped": 2, "xfailed": 3, "failed": 4}
)


@dataclass(frozen=True, slots=True)
class Void:
    """Why a test that passed proves nothing: a code of the judge, and a text."""

    code: str
    text: str


@dataclass(slots=True)
class Attempt:
    """One attempt of a test: outcome by phase, passed assertions, reasons not to believe it."""

    number: int
    phases: dict[str, str] = field(default_factory=dict)
    assertions: int = 0
    informed: int = 0  # how many of those came after the first observation
    observations: int = 0
    voids: list[Void] = field(default_factory=list)
    message: str = ""

    @property
    def outcome(self) -> str:
        """One word for all phases. A pass that is void counts as a failure."""
        words = self.phases
        if "failed" in (words.get("setup"), words.get("teardown")) or "call" not in words:
            return "skipped" if words.get("setup") == "skipped" else "error"
        if words["call"] == "passed" and self.voids:
            return "failed"
        return words["call"]

    def record(self) -> dict[str, Any]:
        """The attempt as the journal stores it."""
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


class RunningTest:
    """A test that runs. Each setup phase begins a new attempt; only the first attempt counts."""

    def __init__(self, node: str) -> None:
        self.node = node
        self.attempts = [Attempt(1)]
        self._strangers = set(threading.enumerate()) - {threading.current_thread()}
        self._fixtures: set[threading.Thread] | None = None

    @property
    def attempt(self) -> Attempt:
        """The attempt that runs now."""
        return self.attempts[-1]

    def setup_began(self) -> None:
        """Begin the first or the next attempt with its setup."""
        if self.attempt.phases:
            self.attempts.append(Attempt(len(self.attempts) + 1))

    def call_began(self) -> None:
        """Begin the test itself. Threads that run already belong to fixtures."""
        self._fixtures = set(threading.enumerate())

    def phase_ended(self, when: str, outcome: str, message: str) -> None:
        """Record how a phase, or a part of it, ended; keep the worst word and the first message."""
        phases = self.attempt.phases
        phases[when] = max(phases.get(when, outcome), outcome, key=_WORSE.__getitem__)
        self.attempt.message = self.attempt.message or message

    def note_observation(self) -> None:
        """Record that an oracle observed something for this test."""
        self.attempt.observations += 1

    def note_assertion(self) -> bool:
        """Record a passed assertion; False if its thread is older than the test."""
        if threading.current_thread() in self._strangers:
            return False
        self.attempt.assertions += 1
        self.attempt.informed += bool(self.attempt.observations)
        return True

    def void(self, code: str, text: str) -> None:
        """Make this attempt void: it proves nothing, whatever its outcome is."""
        self.attempt.voids.append(Void(code, text))

    def note_threads(self) -> None:
        """Make the test void if it leaves threads running: they can still fail."""
        if self._fixtures is not None:
            begun = set(threading.enumerate()) - self._fixtures
            if left := sorted(each.name for each in begun if not each.daemon):
                self.void("E-THREAD", f"threads left running: {', '.join(left)}")
