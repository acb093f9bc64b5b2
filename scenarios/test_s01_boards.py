"""S01: the run board shows what SQL holds, and each of its tabs has an address."""

from __future__ import annotations

import re

import pytest

from pytest_spec11.oracles.browser import Browser
from pytest_spec11.oracles.http import Api
from pytest_spec11.oracles.sql import Sql
from scenarios.support.contract import identity
from scenarios.support.probes.boards import PHONE, RUN_ID, STATUS, STEPS, TABS, address
from scenarios.support.runs.run_lifecycle import answer_run, park_run

pytestmark = pytest.mark.S01
WORD = "SELECT status FROM app.runs WHERE workflow_id = %(w)s"
NAMES = "SELECT step_id FROM app.run_steps WHERE run_id = %(r)s ORDER BY started_at, finished_at"
SHOWN = {"waiting_input": "WAITING_INPUT", "succeeded": "SUCCESS"}
ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
AGO = re.compile(r"\d+ (ms|s|min|h|d) ago|in \d+ (ms|s|min|h|d)")


def list_steps(app_sql: Sql, wid: str) -> list[str]:
    return [row["step_id"] for row in app_sql.rows(NAMES, r=identity.run_id(wid))]


@pytest.mark.claim("S01.board-agrees")
def test_the_board_shows_what_sql_holds(
    api: Api, app_sql: Sql, browser: Browser, unique_goal: str
) -> None:
    wid = park_run(api, unique_goal)["workflowID"]
    page = browser.open(address(wid))
    assert page.read_texts(RUN_ID) == [wid]
    assert page.read_texts(STATUS) == [SHOWN[app_sql.value(WORD, w=wid)]]
    assert page.read_texts(STEPS) == list_steps(app_sql, wid)

    answer_run(api, wid)
    page.await_text(STATUS, "SUCCESS")  # the page shows the end by itself

    assert page.read_texts(STATUS) == [SHOWN[app_sql.value(WORD, w=wid)]]
    shown = page.read_texts(STEPS)
    assert shown == list_steps(app_sql, wid)
    assert len(shown) == 4
    assert page.read_complaints() == []


@pytest.mark.claim("S01.board-agrees")
def test_each_tab_opens_by_its_address_and_fits_a_narrow_window(
    api: Api, app_sql: Sql, browser: Browser, unique_goal: str
) -> None:
    wid = park_run(api, unique_goal)["workflowID"]
    assert app_sql.value(WORD, w=wid) == "waiting_input"
    page = browser.open(address(wid), width=PHONE, scheme="dark")
    seen = set()
    for tab in TABS:
        assert page.go(address(wid, tab)) == 200
        assert page.read_texts("nav.tabs [aria-current]") != []
        (text,) = page.read_texts(f"#tab-{tab}")
        seen.add(text)
        assert page.measure_overflow() == 0
    assert len(seen) == len(TABS)
    for near, exact in zip(page.read_texts("dl time"), page.read_texts("dl small"), strict=False):
        assert AGO.fullmatch(near)
        assert ISO.fullmatch(exact)
    assert page.read_complaints() == []
