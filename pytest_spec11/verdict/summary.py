"""A verdict as text for a person. The end of a run and the gate both print it."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from pytest_spec11.judge import Verdict
from pytest_spec11.judge.reasons import Reason
from pytest_spec11.requirements.catalogue import Catalogue, Scenario

WIDTH: Final = 100
_INDENT: Final = " " * 5


@dataclass(frozen=True)
class Summary:
    """The text of ``verdict`` about the claims of ``catalogue`` at ``scope``."""

    catalogue: Catalogue
    verdict: Verdict
    scope: str
    basis: str = ""  # what a GO stands on

    @cached_property
    def first(self) -> dict[str, Reason]:
        """The first reason against each subject."""
        found: dict[str, Reason] = {}
        for reason in self.verdict.reasons:
            found.setdefault(reason.subject, reason)
        return found

    def scenarios(self, ran: Collection[str]) -> Iterator[str]:
        """One line for each unproven claim of the scenarios that ``ran``, and one for the rest."""
        rest = [item for item in self.catalogue.scenarios if item.id not in ran]
        for item in self.catalogue.scenarios:
            if item.id in ran:
                yield from self._scenario(item)
        if rest:
            total = sum(len(item.claims) for item in rest)
            names = " ".join(item.id for item in rest)
            yield from wrap_text(f"not run: {names} ({total} claim{'s' * (total != 1)})")

    def conclusion(self) -> Iterator[str]:
        """GO or NO_GO, and why, in one sentence."""
        if not self.verdict.reasons:
            total = len(self.verdict.needed)
            basis = f"; {self.basis}" if self.basis else ""
            yield from wrap_text(
                f"GO for the release: {total} of {total} needed claims proven{basis}"
            )
        else:
            why = "; ".join(filter(None, (self._missing(), self._besides())))
            yield from wrap_text(f"NO_GO for the release: {why}")

    def _missing(self) -> str:
        count = len(self.verdict.unproven)
        return f"{count} of {len(self.verdict.needed)} needed claims unproven" if count else ""

    def _besides(self) -> str:
        """The reasons against the evidence as a whole: the first as text, the rest as codes."""
        codes: dict[str, str] = {}
        for each in self.verdict.reasons:
            if each.subject not in self.verdict.claims:
                codes.setdefault(each.code, each.text)
        if not codes:
            return ""
        code, *more = codes
        also = f", also {', '.join(more)}" if more else ""
        return f"{codes[code]} ({code}{also})"

    def _scenario(self, scenario: Scenario) -> Iterator[str]:
        open_ = [claim.id for claim in scenario.claims if self.verdict.claims[claim.id] != "PASS"]
        total = len(scenario.claims)
        yield f"{scenario.id}  {total - len(open_)} of {total} claims proven: {scenario.title}"
        groups: dict[str, list[str]] = {}
        for claim in open_:
            groups.setdefault(self._words(claim), []).append(claim.partition(".")[2] or claim)
        for words, names in groups.items():
            yield from wrap_text(f"{', '.join(names)}: {words}", _INDENT)

    def _words(self, claim: str) -> str:
        reason = self.first.get(claim)
        return reason.text if reason else f"not needed at scope {self.scope}, and not proven"


def wrap_text(text: str, indent: str = "") -> list[str]:
    """``text`` in lines of at most ``WIDTH`` characters; a longer word has its own line."""
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + "  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
