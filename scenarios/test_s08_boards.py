"""S08: hostile texts are texts on every page, and the proof tab lists the cards of the API."""

from __future__ import annotations

from collections import Counter
from urllib.parse import quote

import pytest

from pytest_spec11.oracles.browser import Browser
from pytest_spec11.oracles.http import Api
from scenarios.support.contract.start_requests import start
from scenarios.support.probes.boards import TABS, address
from scenarios.support.runs.run_lifecycle import PARK_S, await_status, complete_run

pytestmark = pytest.mark.S08
HOSTILE = "<script>document.title='owned'</script><svg onload=alert(1)><img src=http://x.invalid/a>"
INLINE = "script:not([src]), svg[onload], main img"
BOARDS = ("run", "hitl-inbox", "ops", "throughput", "recipe", "signoff")


@pytest.mark.claim("S08.hostile-text-inert")
def test_no_page_runs_what_a_text_says(api: Api, browser: Browser, unique_goal: str) -> None:
    body = start(f"{HOSTILE} {unique_goal}", form={"topic": HOSTILE}, queuePartitionKey=HOSTILE)
    wid = api.post("/api/run", json=body).json()["workflowID"]
    await_status(api, wid, {"WAITING_INPUT"}, deadline_s=PARK_S)
    pages = [address(wid, tab) for tab in TABS] + [f"/?board={name}" for name in BOARDS]
    page = browser.open(address(wid))
    shown = page.read_texts("dl dd")
    assert any(HOSTILE in text for text in shown)
    for path in (*pages, f"/?wid={quote(HOSTILE)}"):
        page.go(path)
        assert page.read_texts(INLINE) == []
        assert page.read_complaints() == []
        policy = api.get(path).headers["content-security-policy"]
        assert "script-src 'self';" in policy
        assert "'unsafe" not in policy
    assert "owned" not in page.read_texts("title")


@pytest.mark.claim("S08.proof-tab")
def test_the_proof_tab_lists_each_card_of_the_api(
    api: Api, browser: Browser, unique_goal: str
) -> None:
    wid = complete_run(api, unique_goal)["workflowID"]
    cards = api.get(f"/api/runs/{wid}/proofs").json()
    page = browser.open(address(wid, "proof"))
    titles = page.read_texts(".proof h3")
    assert Counter(titles) == Counter(f"{each['verdict']} {each['claim']}" for each in cards)
    groups = page.read_texts("#tab-proof summary")
    assert [text.rpartition(" ")[0] for text in groups] == [
        "API", "SQL (app)", "SQL (dbos)", "x1", "Policy", "Artifacts",
    ]  # fmt: skip
    assert sum(int(text.rpartition(" ")[2]) for text in groups) == len(cards)
    links = page.read_attributes(".proof a", "href")
    assert len(links) == len(cards)
    for link in set(links):
        assert api.get(link).status == 200
