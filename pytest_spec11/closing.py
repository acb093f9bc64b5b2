"""The last words of a run: what it proves, what it cannot conclude, and where the evidence is."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pytest_spec11 import bundle, summary
from pytest_spec11.catalogue import Catalogue
from pytest_spec11.judge import Verdict, judge
from pytest_spec11.run import Run

# A test of this claim was green and yet proves nothing, whatever else was selected.
_HOLLOW: Final = frozenset({"E-EMPTY", "E-NO-ASSERTION", "E-FAILED", "E-ERROR"})


@dataclass(frozen=True)
class Closing:
    """The judge's verdict on this run alone, ready to be printed."""

    path: Path
    catalogue: Catalogue
    verdict: Verdict
    collected: frozenset[str]

    @classmethod
    def of(cls, run: Run, catalogue: Catalogue, here: Mapping[str, object]) -> Closing:
        """The verdict on what the run left, against the work tree as it is now."""
        seen = bundle.load([run.path])
        now_ms = time.time_ns() // 1_000_000
        verdict = judge(catalogue, seen, now_ms, here, str(here["scope"]))
        return cls(run.path, catalogue, verdict, frozenset().union(*seen.items.values()))

    @property
    def hollow(self) -> list[str]:
        """Reasons against claims whose tests ran green; pytest alone would call it success."""
        return [
            f"{each.code} {each.text}"
            for each in self.verdict.reasons
            if each.subject in self.collected and each.code in _HOLLOW
        ]

    def lines(self) -> list[str]:
        """Scenario by scenario, then what stays open, the verdict, and what to do next."""
        touched = {claim.partition(".")[0] for claim in self.collected}
        proven = [claim for claim, word in self.verdict.claims.items() if word == "PASS"]
        *scenarios, conclusion = summary.lines(self.verdict, self.catalogue, touched)
        return [
            *scenarios,
            *(f"green, but proves nothing: {reason}" for reason in self.hollow),
            f"this run proves {len(proven)} of {len(self.verdict.claims)} claims"
            + ("" if self.verdict.verdict == "GO" else "; of a release it concludes nothing"),
            conclusion,
            f"evidence: {self._near}",
            f"next: spec11 gate {self._near}",
        ]

    @property
    def _near(self) -> Path:
        here = Path.cwd()
        return self.path.relative_to(here) if self.path.is_relative_to(here) else self.path
