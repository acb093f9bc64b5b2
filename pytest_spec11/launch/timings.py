"""The phases of a run, for ``--spec11-timings``."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, order=True)
class Phase:
    """A named part of the run: its begin, counted from the run's start, and its length, in s."""

    began_s: float
    took_s: float
    name: str


@dataclass(slots=True)
class Timings:
    """Measures phases as they happen. Threads may share it, because appending to a list is safe."""

    begin: float = field(default_factory=time.monotonic)
    phases: list[Phase] = field(default_factory=list)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure the block as a phase of that name, also if it fails."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.add(name, began, time.monotonic() - began)

    def add(self, name: str, began: float, took_s: float) -> None:
        """Add a phase that was measured elsewhere; ``began`` is a ``time.monotonic()``."""
        self.phases.append(Phase(began - self.begin, took_s, name))

    def lines(self) -> list[str]:
        """One line per phase, in the order of their begins: begin, length, name."""
        return [
            f"{each.began_s:7.2f} s  {each.took_s:7.2f} s  {each.name}"
            for each in sorted(self.phases)
        ]
