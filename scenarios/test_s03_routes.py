"""S03: no route answers for a run that is not there, and no path answers that is no route."""

from __future__ import annotations

import pytest

from pytest_spec11.stacks import Stack
from scenarios.intents import reply
from scenarios.inventory import operations
from scenarios.lives import parked
from scenarios.paths import (
    BOUNDS,
    NO_KEYS,
    OF_A_GATE,
    OF_A_RUN,
    no_routes,
    off_bounds,
    unknown_runs,
)
from scenarios.stillness import zero_writes

pytestmark = pytest.mark.S03


@pytest.mark.claim("S03.unknown-run-404")
def test_every_route_of_an_unknown_run_says_so(lab: Stack) -> None:
    asked = unknown_runs(operations(lab.api))
    assert {each.path.removeprefix(OF_A_RUN) for each, _ in asked} >= {
        *("", "/steps", "/gates", "/gates/{gateKey}", "/gates/{gateKey}/reply"),
        *("/interactions", "/stream/status"),
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


# S03.query-bounds-400 asks for stepN too, which no route takes yet: until one does, these tests
# are there and prove nothing of it.
def test_a_query_out_of_bounds_is_refused_where_it_is(lab: Stack, unique_goal: str) -> None:
    wid = parked(lab.api, unique_goal)["workflowID"]
    (gate,) = lab.api.get(f"/api/runs/{wid}/gates").json()
    known = operations(lab.api)
    assert {(each.path, name) for each in known for name in each.query} == BOUNDS.keys()
    names = {"wid": wid, "gateKey": gate["gateKey"], "id": "compile-default", "uri": "x"}
    asked = {
        (each.method, f"{each.at(**names)}?{query}"): pointer
        for each in known
        for query, pointer in off_bounds(each)
    }

    allowed = [
        f"{each.at(**names)}?{name}={value}"
        for each in known
        for name in each.query
        for value in BOUNDS[each.path, name]
        if name == "limit"
    ]

    with zero_writes(lab):
        replies = {place: lab.api.request(*place, content=b"{}") for place in asked}

    assert {lab.api.get(url).status for url in allowed} == {200}
    assert {place: reply.status for place, reply in replies.items()} == dict.fromkeys(asked, 400)
    faults = {place: reply.json()["details"] for place, reply in replies.items()}
    assert {place: [fault["pointer"] for fault in found] for place, found in faults.items()} == {
        place: [pointer] for place, pointer in asked.items()
    }


def test_a_gate_key_of_another_form_is_refused(lab: Stack, unique_goal: str) -> None:
    wid = parked(lab.api, unique_goal)["workflowID"]
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
    assert said == dict.fromkeys(replies, (400, "invalid gateKey: 1 faults"))


def test_an_id_is_decoded_and_stays_in_its_segment(lab: Stack, unique_goal: str) -> None:
    wid = parked(lab.api, unique_goal)["workflowID"]
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
