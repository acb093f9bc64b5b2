"""S08: hostile texts are texts on every page, and the proof tab lists the cards of the API."""

from __future__ import annotations

from collections import Counter
from urllib.parse import quote

import pytest

from pytest_spec11.oracles.browser import Browser
from pytest_spec11.oracles.http import Api
from pytest_spec11.stacks import Stacks
from scenarios.support.contract.start_requests import start
from scenarios.support.probes.boards import TABS, address
from scenarios.support.runs.run_lifecycle import PARK_S, await_status, complete_run, park_run

pytestmark = pytest.mark.S08
LEVELS = ["healthz", "run API", "app SQL", "engine SQL", "repro pack", "logs"]
TOKEN = "a-token-of-this-test-" + "0" * 8
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


@pytest.mark.claim("S08.triage-order")
def test_the_board_lists_the_levels_of_triage_in_its_order(
    api: Api, browser: Browser, unique_goal: str
) -> None:
    wid = complete_run(api, unique_goal)["workflowID"]
    page = browser.open(address(wid, "repro"))
    assert [text.partition(":")[0] for text in page.read_texts("#tab-repro ol li")] == LEVELS
    assert f"triage --run {wid}" in page.read_texts("#tab-repro ol + p")[0]


@pytest.mark.claim("S08.secrets-redacted")
def test_no_page_holds_the_token_of_its_session(stacks: Stacks, unique_goal: str) -> None:
    with stacks.start(env={"SPEC11_API_TOKEN": TOKEN}) as stack:
        api = stack.api.using({"authorization": f"Bearer {TOKEN}"})
        wid = park_run(api, unique_goal)["workflowID"]
        page = stack.browser.open("/")
        assert page.read_texts("h1") == ["Log in"]
        page.fill('[name="token"]', TOKEN)
        page.click("form button")
        for path in (*(address(wid, tab) for tab in TABS), "/?board=ops", "/?board=hitl-inbox"):
            assert page.go(path) == 200
            document = page.read_document()
            assert "Log in" not in document
            assert (TOKEN in document) is False
