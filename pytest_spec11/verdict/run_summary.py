"""The summary at the end of a run: what it proves, what it cannot conclude, what to do next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from pytest_spec11.judge.reasons import Reason, Trait, codes_with
from pytest_spec11.verdict.gate import Judged
from pytest_spec11.verdict.summary import Summary, wrap_text

_ELSEWHERE: Final = codes_with(Trait.ELSEWHERE)
_INCOMPLETE: Final = codes_with(Trait.INCOMPLETE)


@dataclass(frozen=True)
class RunSummary:
    """The judge's verdict on the run at ``path`` alone, ready to print."""

    path: Path
    judged: Judged
    catalogue: Path | None = None  # the file that a command without --catalogue uses here

    @cached_property
    def hollow(self) -> list[Reason]:
        """Reasons why tests that ran prove nothing, whatever else was selected."""
        return [
            each
            for each in self.judged.verdict.reasons
            if each.code in _INCOMPLETE
            or (each.subject in self._collected_claims and each.code not in _ELSEWHERE)
        ]

    @cached_property
    def _collected_claims(self) -> frozenset[str]:
        """All claims of the tests that were selected."""
        return frozenset[str]().union(*self.judged.bundle.items.values())

    def lines(self, *, green: bool) -> Iterator[str]:
        """Scenario by scenario, the verdict, the evidence, the next command.

        ``green``: pytest itself reports success.
        """
        voice = Summary(self.judged.catalogue, self.judged.verdict, self.judged.question.scope)
        yield from voice.scenarios(self.judged.bundle.scenarios)
        yield from voice.conclusion()
        if green and self.hollow:
            yield from wrap_text(f"exit status 1, although no test failed: {self.hollow[0].text}")
        yield f"evidence: {self._near}"
        yield f"next: {self._next()}"

    def _next(self) -> str:
        """The next command: for the first fault; without one the whole suite; then the gate."""
        ran = self.judged.bundle.scenarios
        claims = {id_ for id_, each in self.judged.catalogue.claims.items() if each.scenario in ran}
        open_ = [each for each in self.judged.verdict.reasons if each.subject in claims]
        tried = [each for each in open_ if each.subject in self._collected_claims]
        if tried:
            return tried[0].command
        if open_:
            return f"spec11 claims -m {open_[0].subject.partition('.')[0]}{self._option}"
        if claims < self.judged.catalogue.claims.keys():
            return "pytest --spec11-scope signoff"
        if any(each.code == "E-WEAK-ORACLE" for each in self.judged.verdict.reasons):
            return f"spec11 sabotage --green {self._near}{self._option}"
        return f"spec11 gate {self._near}{self._option}"

    @property
    def _option(self) -> str:
        """The option that names the catalogue of this run; empty if the tree names the same."""
        used = self.judged.question.catalogue
        if used is None or (self.catalogue and self.catalogue.resolve() == used.resolve()):
            return ""
        return f" --catalogue {shlex.quote(str(_shorten(used)))}"

    @property
    def _near(self) -> Path:
        return _shorten(self.path)


def _shorten(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
