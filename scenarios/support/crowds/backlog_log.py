"""Records how long a tenant's start waited in the queue behind the backlog of others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import pytest

PROPERTY = "backlog"
HEADS = ("tenants that flood", "queued", "start ms", "parked ms")


class Met(NamedTuple):
    """One start: the queued work of others, and the delay."""

    backlog: int
    start_ms: int
    parked_ms: int


class Backlogs:
    """The floods of one test. The test's report holds them, also in a parallel run."""

    def __init__(self, keep: Callable[[str, Any], None]) -> None:
        self._keep = keep

    def record_backlog(self, tenants: str, met: Met) -> None:
        """Record a start that came behind the backlog of ``tenants``."""
        self._keep(PROPERTY, " ".join(map(str, (*met, tenants))))


def table(reports: Iterable[pytest.TestReport]) -> list[str]:
    """Lines of text: for each flood, the delay of another tenant's start."""
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
