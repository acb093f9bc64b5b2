"""S11: the budget editor sends what it shows, and blocks what the API would refuse."""

from __future__ import annotations

import pytest

from pytest_spec11.oracles.browser import Browser
from pytest_spec11.oracles.http import Api
from pytest_spec11.oracles.sql import Sql
from scenarios.support.probes.boards import NOTE, fill_start

pytestmark = pytest.mark.S11
BUDGET = {
    "maxFanout": "7",
    "maxSBXMinutes": "3",
    "maxArtifactsMB": "9",
    "maxRetriesPerStep": "1",
    "maxWallClockMS": "450000",
}
STORED = "SELECT budget FROM app.runs WHERE workflow_id = %(w)s"


@pytest.mark.claim("S11.budget-editor")
def test_the_editor_sends_its_numbers_and_blocks_the_rest(
    api: Api, app_sql: Sql, browser: Browser, unique_goal: str
) -> None:
    page = browser.open("/")
    page.click("summary")
    page.click('[name="budget"]')
    fill_start(page, unique_goal, **{**BUDGET, "maxFanout": "0"})
    assert page.read_address() == "/"
    assert page.read_attributes('[name="maxFanout"]:invalid', "min") == ["1"]
    assert "at least 1" in page.read_texts('label[for="maxFanout"]')[0]

    fill_start(page, unique_goal, **BUDGET)

    assert page.read_texts(NOTE) == ["The run was started."]
    wid = page.read_texts("#run-title code")[0]
    assert api.get(f"/api/runs/{wid}").status == 200
    assert app_sql.value(STORED, w=wid) == {name: int(text) for name, text in BUDGET.items()}
