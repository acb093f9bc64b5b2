"""S03: no route answers for a run that is not there, and no path answers that is no route."""

from __future__ import annotations

import pytest

from pytest_spec11.stacks import Stack
from scenarios.support.contract.inventory import operations
from scenarios.support.contract.start_requests import reply
from scenarios.support.faults.zero_writes import zero_writes
from scenarios.support.probes.paths import (
    BOUNDS,
    NO_KEYS,
    NO_WORDS,
    OF_A_GATE,
    OF_A_RUN,
    no_routes,
    off_bounds,
    unknown_runs,
)
from scenarios.support.probes.subjects import subject
from scenarios.support.runs.run_lifecycle import complete_run, park_run

pytestmark = pytest.mark.S03


@pytest.mark.claim("S03.unknown-run-404")
def test_every_route_of_an_unknown_run_says_so(lab: Stack) -> None:
    asked = unknown_runs(operations(lab.api))
    assert {each.path.removeprefix(OF_A_RUN) for each, _ in asked} >= {
        *("", "/steps", "/gates", "/gates/{gateKey}", "/gates/{gateKey}/reply"),
        *("/interactions", "/stream/status", "/retry"),
    }

    with zero_writes(lab):
        replies = {
            (each.method, url): lab.api.request(
                each.method, url, json=reply() if each.body else None
            )
            for each, url in asked
        }

    said = {place: (reply.status, reply.json()) for place, reply in replies.items()}
    assert said == {place: (404, {"error": "run not found"}) for place in replies}


@pytest.mark.claim("S03.unknown-run-404")
def test_a_path_or_method_that_is_no_route_is_not_found(lab: Stack) -> None:
    asked = no_routes(operations(lab.api))

    with zero_writes(lab):
        replies = {(method, path): lab.api.request(method, path) for method, path in asked}

    assert {place: reply.status for place, reply in replies.items()} == dict.fromkeys(replies, 404)
    shown = {place: reply.json() for place, reply in replies.items() if place[0] != "HEAD"}
    assert shown == {place: {"error": "not found"} for place in shown}


@pytest.mark.claim("S03.query-bounds-400")
def test_a_query_out_of_bounds_is_refused_where_it_is(lab: Stack, unique_goal: str) -> None:
    about = subject(lab.api, complete_run(lab.api, unique_goal)["workflowID"])
    known = operations(lab.api)
    queries = {(each.path, name) for each in known for name in each.query}
    assert queries == BOUNDS.keys() | NO_WORDS.keys()
    asked = {
        (each.method, f"{about.path(each)}?{query}"): pointer
        for each in known
        for query, pointer in off_bounds(each, about)
    }
    allowed = [
        f"{about.path(each)}?{name}={value}"
        for each in known
        for name in each.query
        for value in BOUNDS.get((each.path, name), ())
    ]

    with zero_writes(lab):
        replies = {place: lab.api.request(*place, content=b"{}") for place in asked}

    assert {lab.api.get(url).status for url in allowed} == {200}
    assert {place: reply.status for place, reply in replies.items()} == dict.fromkeys(asked, 400)
    faults = {place: reply.json()["details"] for place, reply in replies.items()}
    assert {place: [fault["pointer"] for fault in found] for place, found in faults.items()} == {
        place: [pointer] for place, pointer in asked.items()
    }


@pytest.mark.claim("S03.query-bounds-400")
def test_a_fork_begins_at_a_whole_step(lab: Stack, unique_goal: str) -> None:
    wid = park_run(lab.api, unique_goal)["workflowID"]
    by = {"actor": "qa", "reason": "bounds"}
    steps: list[object] = [0, -1, "1", 1.5, None, True, 2**31]

    with zero_writes(lab):
        replies = [
            lab.api.post(f"/api/ops/wf/{wid}/fork", json={**by, "stepN": step}) for step in steps
        ]

    pointers = [[fault["pointer"] for fault in reply.json()["details"]] for reply in replies]
    assert [reply.status for reply in replies] == [400] * len(steps)
    assert pointers == [["/stepN"]] * len(steps)
    assert lab.api.post(f"/api/ops/wf/{wid}/fork", json={**by, "stepN": 1}).status == 202


@pytest.mark.claim("S03.query-bounds-400")
def test_a_gate_key_of_another_form_is_refused(lab: Stack, unique_goal: str) -> None:
    wid = park_run(lab.api, unique_goal)["workflowID"]
    places = [each for each in operations(lab.api) if each.path.startswith(OF_A_GATE)]
    assert {each.method for each in places} == {"GET", "POST"}

    with zero_writes(lab):
        replies = {
            (each.path, key): lab.api.request(
                each.method, each.at(wid=wid, gateKey=key), json=reply() if each.body else None
            )
            for each in places
            for key in NO_KEYS
        }

    said = {place: (reply.status, reply.json()["error"]) for place, reply in replies.items()}
    assert said == dict.fromkeys(replies, (400, "invalid gateKey: 1 fault"))


@pytest.mark.claim("S03.query-bounds-400")
def test_an_id_is_decoded_and_stays_in_its_segment(lab: Stack, unique_goal: str) -> None:
    wid = park_run(lab.api, unique_goal)["workflowID"]
    spelt = "".join(f"%{ord(letter):02x}" for letter in wid)

    found = lab.api.get(f"/api/runs/{spelt}")
    with zero_writes(lab):
        escapes = [
            lab.api.get(f"/api/runs/{path}")
            for path in (f"..%2F{wid}", f"..%2fruns%2F{wid}", f"{wid}%2Fsteps", f"{wid}%2f..%2Fx")
        ]

    assert (found.status, found.json()["workflowID"]) == (200, wid)
    assert [(reply.status, reply.json()) for reply in escapes] == [
        (404, {"error": "run not found"})
    ] * 4
