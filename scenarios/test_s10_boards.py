"""S10: the page of throughput shows the figures of the API, each with its own reference."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_spec11.oracles.browser import Page
from pytest_spec11.stacks import Stack
from scenarios.support.crowds.throughput import bare, fairness, priority, read_throughput, recent
from scenarios.support.runs.run_lifecycle import complete_run

pytestmark = pytest.mark.S10
TIMES = ("ts", "oldestCreatedAt", "newestCreatedAt")  # the page shows them as times
RUNS = "SELECT count(*) FROM app.runs WHERE status = 'succeeded'"


def read_rows(page: Page, title: str) -> list[dict[str, str]]:
    """The rows of a table, by the names of its columns."""
    place = f'section:has(> h2:text-is("{title}"))'
    names = page.read_texts(f"{place} thead th")
    rows = [text.split("\t") for text in page.read_texts(f"{place} tbody tr")]
    return [dict(zip(names, cells, strict=True)) for cells in rows]


def show(row: dict[str, Any]) -> dict[str, str]:
    """A row of the API, as the page shows it, without its times."""
    left_out = {"source", "provenance", "thresholds", *TIMES}
    return {
        name: "-" if value is None else str(value)
        for name, value in row.items()
        if name not in left_out
    }


@pytest.mark.claim("S10.throughput-true")
def test_the_page_shows_each_figure_with_its_reference(lab: Stack, unique_goal: str) -> None:
    complete_run(lab.api, unique_goal)
    assert lab.app_sql.value(RUNS) >= 1
    page = lab.browser.open("/?board=throughput")
    seen, rows = read_throughput(lab.api), recent(lab.sys_sql)
    assert bare(seen["fairness"]) == fairness(rows)
    assert bare(seen["priority"]) == priority(rows)
    for title, key in (("Fairness", "fairness"), ("Priority", "priority")):
        shown = [
            {name: text for name, text in row.items() if name not in TIMES}
            for row in read_rows(page, title)
        ]
        assert shown == [show(row) for row in seen[key]]
        assert all(row["rawRef"].startswith("sql:sys") or ":" in row["rawRef"] for row in shown)
