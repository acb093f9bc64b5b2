"""S07: the page of operations shows legality before the click, and what was done after it."""

from __future__ import annotations

import pytest

from pytest_spec11.fixtures import Provokes
from pytest_spec11.oracles.browser import Browser
from pytest_spec11.oracles.http import Api
from pytest_spec11.oracles.sql import Sql
from scenarios.support.probes.boards import BANNER, NOTE, address
from scenarios.support.runs.run_lifecycle import park_run

pytestmark = pytest.mark.S07
OPERATION = 'button[name="operation"]'
AUDIT = """
SELECT inline ->> 'actor' AS actor, inline ->> 'reason' AS reason
FROM app.artifacts WHERE run_id = (SELECT id FROM app.runs WHERE workflow_id = %(w)s)
  AND step_id = 'OPS'
"""
DEPTH = "SELECT count(*) FROM app.v_ops_queue_depth"


@pytest.mark.claim("S07.ops-board")
def test_an_illegal_operation_is_disabled_and_a_legal_one_is_on_record(
    api: Api, app_sql: Sql, browser: Browser, provokes: Provokes, unique_goal: str
) -> None:
    wid = park_run(api, unique_goal)["workflowID"]
    provokes(wid, "it is canceled from a page")
    page = browser.open(address(wid, "ops"))
    assert page.read_attributes(f"{OPERATION}:disabled", "value") == ["resume"]
    (why,) = page.read_texts("#why-resume")
    assert why == "a workflow that is PENDING cannot be resumed"

    page.click(f'{OPERATION}[value="cancel"]')  # without an actor nothing is sent
    assert page.read_address() == address(wid, "ops")
    assert page.read_texts(NOTE) == []
    page.fill('[name="actor"]', "qa")
    page.fill('[name="reason"]', "from a page")
    page.click(f'{OPERATION}[value="cancel"]')

    assert page.read_texts(NOTE) == ["The operation was accepted."]
    assert page.read_attributes(f"{OPERATION}:disabled", "value") == ["cancel"]
    assert page.read_attributes('[name="actor"]', "value") == [""]
    (row,) = app_sql.rows(AUDIT, w=wid)
    cells = page.read_texts("#tab-ops > table tbody tr:first-child td")
    assert (row["actor"], row["reason"]) == ("qa", "from a page")
    assert cells[:3] == ["cancel", row["actor"], row["reason"]]


@pytest.mark.claim("S07.ops-board")
def test_each_queue_shows_its_oldest_and_its_newest_and_filters_stay(
    api: Api, app_sql: Sql, browser: Browser, unique_goal: str
) -> None:
    wid = park_run(api, unique_goal)["workflowID"]
    page = browser.open("/?board=ops&status=PENDING&name=RunIntent")
    cards = page.read_texts("main .cards .card")
    assert len(cards) == app_sql.value(DEPTH)
    for text in cards:
        assert "oldest" in text
        assert "newest" in text
    page.click(f'a[href*="{wid}"]')
    assert page.read_address() == f"/?board=ops&wid={wid}&status=PENDING&name=RunIntent"
    assert page.go("/?board=ops&wid=nobody") == 200
    assert page.read_texts(f"{BANNER} strong") == ["404"]
