"""The boards show what the API answers, refuse as it refuses, and escape everything."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html import unescape
from typing import Any

import httpx
import pytest

from tests.engine.shim_process import Shim, running_shim

BOARDS = ("run", "hitl-inbox", "ops", "throughput", "recipe", "signoff")
TABS = ("timeline", "gate", "artifacts", "patches", "proof", "ops", "repro")
HOSTILE = "<script>alert(1)</script><svg onload=alert(2)>\x1b[31m"
READER, OPERATOR = "reader-0123456789abcdef", "operator-0123456789abcdef"
START = {
    "recipe": "compile-default",
    "v": "v1",
    "form.goal": "from a page",
    "queuePartitionKey": "ui-default",
}


def read_text(answer: httpx.Response) -> str:
    """The page as a reader sees it: without tags, with one space between words."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", answer.text)).split())


@pytest.mark.parametrize("board", BOARDS)
def test_each_board_opens_and_names_where_its_facts_come_from(shim: Shim, board: str) -> None:
    answer = shim.http.get("/", params={"board": board})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert 'aria-current="page"' in answer.text
    assert "GET /api/" in read_text(answer)


def test_the_page_of_the_api_lists_every_operation_of_its_document(shim: Shim) -> None:
    document = shim.http.get("/openapi.json").json()
    page = shim.http.get("/docs")
    text = read_text(page)
    assert page.status_code == 200
    for path, methods in document["paths"].items():
        for method, facts in methods.items():
            assert f"{method.upper()} {path} {facts['summary']}" in text


@pytest.mark.parametrize("tab", TABS)
def test_each_tab_of_a_run_opens_by_its_address(shim: Shim, tab: str) -> None:
    wid, _ = shim.park_run(f"tab {tab}")
    answer = shim.http.get("/", params={"wid": wid, "board": "run", "tab": tab})
    assert answer.status_code == 200
    assert f'id="tab-{tab}"' in answer.text
    assert wid in answer.text


def test_an_unknown_run_is_404_on_its_page_too(shim: Shim) -> None:
    answer = shim.http.get("/", params={"wid": "ih_nothing"})
    assert answer.status_code == 404
    assert "404 run not found" in read_text(answer)


def test_an_unknown_board_or_tab_is_the_first_one(shim: Shim) -> None:
    wid, _ = shim.park_run("unknown tab")
    answer = shim.http.get("/", params={"wid": wid, "board": "nothing", "tab": "nothing"})
    assert (answer.status_code, 'id="tab-timeline"' in answer.text) == (200, True)


def test_a_start_from_the_page_is_a_start_and_its_repeat_a_replay(shim: Shim) -> None:
    first = shim.http.post("/boards/start", data=START)
    again = shim.http.post("/boards/start", data=START)
    assert (first.status_code, again.status_code) == (303, 303)
    assert first.headers["location"].endswith("note=started")
    assert again.headers["location"].endswith("note=replayed")
    wid = re.search(r"wid=(ih_[0-9a-f]+)", first.headers["location"])
    assert wid is not None
    assert shim.http.get(f"/api/runs/{wid[1]}").json()["workflowID"] == wid[1]
    assert "This is a replay" in read_text(shim.http.get(again.headers["location"]))


@pytest.mark.parametrize(
    ("change", "status", "word"),
    [
        ({"form.goal": ""}, 400, "invalid"),
        ({"recipe": "nothing"}, 404, "recipe"),
        ({"queuePartitionKey": ""}, 400, "partition"),
        ({"budget": "on", "maxFanout": "0"}, 400, "maxFanout"),
    ],
)
def test_a_refused_start_is_shown_with_its_status_and_writes_nothing(
    shim: Shim, change: dict[str, str], status: int, word: str
) -> None:
    before = shim.digest()
    answer = shim.http.post("/boards/start", data={**START, **change})
    assert answer.status_code == status
    assert word in read_text(answer)
    assert 'role="alert"' in answer.text
    assert shim.digest() == before


def test_the_same_start_with_another_lane_shows_its_drift(shim: Shim) -> None:
    start = {**START, "form.goal": "drifts on the page"}
    assert shim.http.post("/boards/start", data=start).status_code == 303
    answer = shim.http.post("/boards/start", data={**start, "lane": "batch"})
    told = shim.http.post(
        "/api/run",
        json={
            "recipeRef": {"id": "compile-default", "v": "v1"},
            "formData": {"goal": "drifts on the page"},
            "opts": {"queuePartitionKey": "ui-default", "lane": "batch"},
        },
    )
    assert (answer.status_code, told.status_code) == (409, 409)
    for row in told.json()["drift"]:
        assert f'<th scope="row">{row["field"]}</th>' in answer.text


def test_an_answer_from_the_page_is_in_the_ledger_and_its_repeat_a_replay(shim: Shim) -> None:
    wid, gate = shim.park_run("answered on the page")
    form = {"wid": wid, "gate": gate, "payload.choice": "yes", "dedupeKey": "ui:1"}
    first = shim.http.post("/boards/reply", data={**form, "origin": "manual"})
    again = shim.http.post("/boards/reply", data={**form, "origin": "manual"})
    assert [each.headers["location"].rpartition("=")[2] for each in (first, again)] == [
        "answered",
        "repeated",
    ]
    [row] = shim.http.get(f"/api/runs/{wid}/interactions").json()
    assert (row["dedupeKey"], row["origin"]) == ("ui:1", "manual")
    other = shim.http.post("/boards/reply", data={**form, "payload.choice": "no"})
    assert other.status_code == 409


def test_an_open_gate_is_focused_by_its_address(shim: Shim) -> None:
    wid, gate = shim.park_run("focused")
    answer = shim.http.get("/", params={"wid": wid, "tab": "gate", "gate": gate})
    assert re.search(rf'id="gate-{gate}" data-focus', answer.text)
    assert f'value="ui:{wid}:{gate}:' in answer.text


def test_an_illegal_operation_is_disabled_and_says_why(shim: Shim) -> None:
    wid = shim.start("illegal on the page").json()["workflowID"]
    page = shim.http.get("/", params={"board": "ops", "wid": wid}).text
    assert re.search(r'value="resume" disabled aria-describedby="why-resume"', page)
    assert re.search(r'value="cancel">', page)
    form = {"id": wid, "operation": "cancel", "actor": "qa", "reason": ""}
    refused = shim.http.post("/boards/operate", data=form)
    assert (refused.status_code, "/reason" in refused.text) == (400, True)
    assert shim.http.post("/boards/operate", data={**form, "reason": "x"}).status_code == 303
    again = shim.http.post("/boards/operate", data={**form, "reason": "x"})
    assert again.status_code == 409


def test_everything_hostile_is_text(shim: Shim) -> None:
    start = {**START, "form.goal": HOSTILE.replace("\x1b", ""), "queuePartitionKey": HOSTILE[:40]}
    page = shim.http.post("/boards/start", data=start, follow_redirects=True)
    pages = [page, shim.http.get("/", params={"wid": HOSTILE, "board": "ops", "name": HOSTILE})]
    for answer in pages:
        assert "<script>alert" not in answer.text
        assert "<svg onload" not in answer.text
        policy = answer.headers["content-security-policy"]
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        assert re.findall(r"<script(?![^>]* src=)", answer.text) == []


def test_a_page_of_another_site_can_do_nothing(shim: Shim) -> None:
    before = shim.digest()
    headers = {"origin": "http://evil.example"}
    answer = shim.http.post("/boards/start", data=START, headers=headers)
    assert answer.status_code == 400
    assert "another origin" in read_text(answer)
    assert shim.digest() == before


def test_assets_are_found_by_their_digest_alone(shim: Shim) -> None:
    page = shim.http.get("/").text
    paths = re.findall(r'(?:href|src)="(/assets/[^"]+)"', page)
    assert len(paths) == 3
    for path in paths:
        answer = shim.http.get(path)
        assert (answer.status_code, "immutable" in answer.headers["cache-control"]) == (200, True)
    assert shim.http.get("/assets/board.css").status_code == 404
    assert shim.http.get("/assets/..%2f__init__.py").status_code == 404
    assert shim.http.get("/favicon.ico").headers["content-type"] == "image/svg+xml"


@pytest.fixture(scope="module")
def guarded(clone: Callable[[], str]) -> Iterator[Shim]:
    """An api-shim that asks for tokens."""
    tokens = {"SPEC11_API_TOKEN": OPERATOR, "SPEC11_READER_TOKEN": READER}
    with running_shim(clone(), **tokens) as running:
        yield running


def log_in(shim: Shim, token: str) -> dict[str, Any]:
    answer = shim.http.post("/boards/login", data={"token": token, "next": "/?board=ops"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/?board=ops")
    kept = answer.headers["set-cookie"].lower()
    assert "httponly" in kept
    assert "samesite=strict" in kept
    shim.http.cookies.clear()
    return {"cookie": answer.headers["set-cookie"].partition(";")[0]}


def test_with_tokens_a_stranger_sees_the_form_to_log_in_and_nothing_else(guarded: Shim) -> None:
    for board in BOARDS:
        answer = guarded.http.get("/", params={"board": board})
        assert answer.status_code == 401
        assert 'name="token"' in answer.text
        assert "compile-default" not in answer.text
    before = guarded.digest()
    assert guarded.http.post("/boards/start", data=START).status_code == 401
    assert guarded.digest() == before


def test_a_reader_sees_and_an_operator_acts(guarded: Shim) -> None:
    reader, operator = log_in(guarded, READER), log_in(guarded, OPERATOR)
    assert guarded.http.get("/", params={"board": "ops"}, headers=reader).status_code == 200
    before = guarded.digest()
    assert guarded.http.post("/boards/start", data=START, headers=reader).status_code == 403
    assert guarded.digest() == before
    assert guarded.http.post("/boards/start", data=START, headers=operator).status_code == 303


def test_the_form_to_log_in_leads_to_this_site_alone(guarded: Shim) -> None:
    form = {"token": READER, "next": "https://evil.example/"}
    assert guarded.http.post("/boards/login", data=form).headers["location"] == "/"
    guarded.http.cookies.clear()
