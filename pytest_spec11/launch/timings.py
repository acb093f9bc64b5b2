"""The phases of a run, for ``--spec11-timings``."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, order=True)
class Phase:
    """A named stretch of the run: when it began, counted from the run's start, and its length."""

    began_s: float
    took_s: float
    name: str


@dataclass(slots=True)
class Timings:
    """Phases, measured as they happen; safe for threads, since a list's append is."""

    begin: float = field(default_factory=time.monotonic)
    phases: list[Phase] = field(default_factory=list)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """The block is a phase of that name, whether or not it fails."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.add(name, began, time.monotonic() - began)

    def add(self, name: str, began: float, took_s: float) -> None:
        """A phase measured elsewhere; ``began`` is a ``time.monotonic()``."""
        self.phases.append(Phase(began - self.begin, took_s, name))

    def lines(self) -> list[str]:
        """One line a phase, in order of their beginnings: begin, length, name."""
        return [
            f"{each.began_s:7.2f} s  {each.took_s:7.2f} s  {each.name}"
            for each in sorted(self.phases)
        ]
