"""The last words of a run: what it proves, what it cannot conclude, and what to do next."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from pytest_spec11.evidence import bundle
from pytest_spec11.evidence.bundle import Bundle
from pytest_spec11.judge import Terms, Verdict, judge
from pytest_spec11.judge.reasons import Reason, Trait, codes_with
from pytest_spec11.requirements.catalogue import Catalogue
from pytest_spec11.requirements.policy import Policy
from pytest_spec11.run import Run
from pytest_spec11.verdict.gate import find_kept
from pytest_spec11.verdict.summary import Summary, wrap_text

_ELSEWHERE: Final = codes_with(Trait.ELSEWHERE)
_INCOMPLETE: Final = codes_with(Trait.INCOMPLETE)


@dataclass(frozen=True)
class Closing:
    """The judge's verdict on this run alone, ready to be printed."""

    path: Path
    catalogue: Catalogue
    verdict: Verdict
    seen: Bundle
    scope: str

    @classmethod
    def of(
        cls, run: Run, catalogue: Catalogue, policy: Policy, here: Mapping[str, object]
    ) -> Closing:
        """The verdict on what the run left, against the work tree as it is now."""
        seen = bundle.load([run.path])
        now_ms, scope = time.time_ns() // 1_000_000, str(here["scope"])
        terms = Terms(now_ms=now_ms, here=here, scope=scope, policy=policy)
        kept = find_kept([run.path], run.path.parent, seen, terms) if scope != "demo" else ()
        return cls(run.path, catalogue, judge(catalogue, seen, terms, kept), seen, scope)

    @cached_property
    def hollow(self) -> list[Reason]:
        """Reasons why tests that ran are no proof, whatever was or was not selected beside them."""
        return [
            each
            for each in self.verdict.reasons
            if each.code in _INCOMPLETE
            or (each.subject in self._collected_claims and each.code not in _ELSEWHERE)
        ]

    @cached_property
    def _collected_claims(self) -> frozenset[str]:
        """All claims of the tests that were selected."""
        return frozenset[str]().union(*self.seen.items.values())

    def lines(self, *, green: bool) -> Iterator[str]:
        """Scenario by scenario, the verdict, the evidence, the next command.

        ``green``: all that pytest itself looks at is well.
        """
        voice = Summary(self.catalogue, self.verdict, self.scope)
        yield from voice.scenarios(self.seen.scenarios)
        yield from voice.conclusion()
        if green and self.hollow:
            yield from wrap_text(f"exit status 1, though no test failed: {self.hollow[0].text}")
        yield f"evidence: {self._near}"
        yield f"next: {self._next()}"

    def _next(self) -> str:
        """The first thing to repair; then the whole suite; then the gate."""
        ran = self.seen.scenarios
        claims = {id_ for id_, each in self.catalogue.claims.items() if each.scenario in ran}
        open_ = [each for each in self.verdict.reasons if each.subject in claims]
        tried = [each for each in open_ if each.subject in self._collected_claims]
        if tried:
            return tried[0].command
        if open_:
            return f"spec11 claims -m {open_[0].subject.partition('.')[0]}"
        if claims < self.catalogue.claims.keys():
            return "pytest --spec11-scope signoff"
        if any(each.code == "E-WEAK-ORACLE" for each in self.verdict.reasons):
            return f"spec11 sabotage --green {self._near}"
        return f"spec11 gate {self._near}"

    @property
    def _near(self) -> Path:
        here = Path.cwd()
        return self.path.relative_to(here) if self.path.is_relative_to(here) else self.path
