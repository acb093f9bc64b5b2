"""How long one tenant's start lay in the queue behind the backlog of others, on record."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import pytest

PROPERTY = "backlog"
HEADS = ("tenants that flood", "queued", "start ms", "parked ms")


class Met(NamedTuple):
    """What one start met: how much of others was queued, and what that cost it."""

    backlog: int
    start_ms: int
    parked_ms: int


class Backlogs:
    """The floods of one test. Kept with its report, so that they survive a parallel run."""

    def __init__(self, keep: Callable[[str, Any], None]) -> None:
        self._keep = keep

    def record_backlog(self, tenants: str, met: Met) -> None:
        """A start came while ``tenants`` had queued what it met."""
        self._keep(PROPERTY, " ".join(map(str, (*met, tenants))))


def table(reports: Iterable[pytest.TestReport]) -> list[str]:
    """Lines of text: for each flood what a start of another tenant met."""
    rows = [
        (tenants, *figures)
        for report in reports
        if report.when == "call"
        for name, told in report.user_properties
        if name == PROPERTY
        for *figures, tenants in [str(told).split(" ", 3)]
    ]
    if not rows:
        return []
    wide = [max(len(row[column]) for row in [HEADS, *rows]) for column in range(len(HEADS))]
    return ["  ".join(map(str.ljust, row, wide)).rstrip() for row in [HEADS, *rows]]
