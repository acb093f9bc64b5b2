"""A log of kills: where a process died, the work in flight, and the result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import pytest

PROPERTY = "kill"
HEADS = ("died at", "kills", "over work", "outcome")
WHOLE = "nothing lost or doubled"


class Kill(NamedTuple):
    """One death: its place, the unfinished work that it hit, and whether its test passed."""

    place: str
    overlaps: int
    whole: bool


class Ledger:
    """The kills of one test. The test's report holds them, also in a parallel run."""

    def __init__(self, keep: Callable[[str, Any], None]) -> None:
        self._keep = keep

    def hit(self, place: str, overlaps: int) -> None:
        """Record a death at ``place`` while ``overlaps`` pieces of work were unfinished."""
        self._keep(PROPERTY, f"{place} {overlaps}")


def kills(reports: Iterable[pytest.TestReport]) -> list[Kill]:
    """All kills of the tests that ran, in the order of their reports."""
    return [
        Kill(place, int(overlaps), report.passed)
        for report in reports
        if report.when == "call"
        for name, told in report.user_properties
        if name == PROPERTY
        for place, _, overlaps in [str(told).rpartition(" ")]
    ]


def table(all_of_them: Iterable[Kill]) -> list[str]:
    """Lines of text: for each place the deaths, those with unfinished work, and the result."""
    died, over, broken = Counter[str](), Counter[str](), Counter[str]()
    for kill in all_of_them:
        died[kill.place] += 1
        over[kill.place] += kill.overlaps > 0
        broken[kill.place] += not kill.whole
    rows = [
        (place, str(count), str(over[place]), f"{broken[place]} FAILED" if broken[place] else WHOLE)
        for place, count in sorted(died.items())
    ]
    if len(rows) > 1:
        wrong = sum(broken.values())
        rows.append(
            ("all", str(died.total()), str(over.total()), f"{wrong} FAILED" if wrong else WHOLE)
        )
    wide = [max(len(row[column]) for row in [HEADS, *rows]) for column in range(len(HEADS))]
    return ["  ".join(map(str.ljust, row, wide)).rstrip() for row in [HEADS, *rows]]
