"""S04: the inbox leads to a gate, and an answer given there is in the ledger."""

from __future__ import annotations

import pytest

from pytest_spec11.oracles.browser import Browser
from pytest_spec11.oracles.http import Api
from pytest_spec11.oracles.sql import Sql
from scenarios.support.probes.boards import NOTE, address
from scenarios.support.runs.gates import waiting

pytestmark = pytest.mark.S04
LEDGER = """
SELECT origin, payload ->> 'choice' AS choice FROM app.human_interactions
WHERE run_id = %(r)s AND gate_key = %(g)s
"""


@pytest.mark.claim("S04.inbox-focuses-gate")
def test_the_inbox_opens_the_gate_and_the_keyboard_answers_it(
    api: Api, app_sql: Sql, browser: Browser, unique_goal: str
) -> None:
    gate = waiting(api, unique_goal)
    page = browser.open("/?board=hitl-inbox")
    link = f'a[href*="{gate.wid}"]'
    assert gate.key in page.read_texts(link)[0]

    page.click(link)

    assert page.read_address() == address(gate.wid, "gate", gate=gate.key)
    assert page.read_texts(".gate.focused h3 + p code") == [gate.key]
    assert page.read_focus() == "payload.choice"
    page.press("Space")
    for _ in range(4):  # rationale, origin, dedupe key, the button
        page.press("Tab")
    page.press("Enter")
    page.await_text(NOTE, "accepted")
    assert page.read_texts(NOTE) == ["The answer was accepted."]
    rows = app_sql.rows(LEDGER, r=gate.run_id, g=gate.key)
    assert [(row["origin"], row["choice"]) for row in rows] == [("manual", "yes")]
    assert page.read_texts("#tab-gate tbody tr td:nth-child(2)") == [rows[0]["origin"]]
