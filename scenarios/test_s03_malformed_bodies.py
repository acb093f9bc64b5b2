"""S03: what cannot be read, or breaks its schema, is a 400 that says where, and writes nothing."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_spec11.oracles.http import Reply
from pytest_spec11.stacks import Stack
from scenarios.support.faults.zero_writes import zero_writes
from scenarios.support.probes.malformed_bodies import (
    NO_OBJECTS,
    NOTHING,
    Mutant,
    mutants,
    unreadable,
)
from scenarios.support.probes.requests import (
    ANSWERS,
    CANCEL,
    FORK,
    REPLY,
    START,
    STORED,
    Place,
    posts,
    send_accepted,
)

pytestmark = pytest.mark.S03

LEAST_MUTANTS = 150


@pytest.mark.claim("S03.bad-json-400")
def test_what_is_no_json_is_refused_by_every_post_route(lab: Stack, unique_goal: str) -> None:
    places = posts(lab, unique_goal)
    bad = {
        (path, what): body
        for path, place in places.items()
        for what, body in unreadable(place.around_hole).items()
        if place.operation.body or what not in NOTHING
    }
    kinds = {(path, text): text.encode() for path in places for text in NO_OBJECTS}

    with zero_writes(lab):
        replies = {
            (path, what): lab.api.request("POST", places[path].url, content=body)
            for (path, what), body in {**bad, **kinds}.items()
        }

    assert {name: reply.status for name, reply in replies.items()} == dict.fromkeys(replies, 400)
    said = {name: reply.json()["error"] for name, reply in replies.items()}
    assert {name: said[name] for name in bad} == dict.fromkeys(bad, "invalid json")
    assert {name: said[name] for name in kinds} == {
        (path, text): f"invalid {places[path].name}: 1 fault" for path, text in kinds
    }
    assert send_accepted(lab, places) == ANSWERS


@pytest.mark.claim("S03.schema-matrix-400")
def test_every_single_fault_is_refused_where_it_is(lab: Stack, unique_goal: str) -> None:
    places = posts(lab, unique_goal)
    faulty = [(path, each) for path, place in places.items() for each in _mutants(place)]
    assert len(faulty) >= LEAST_MUTANTS
    assert {"/bogus", "/opts/bogus", "/opts/budget/bogus"} <= {each.pointer for _, each in faulty}

    with zero_writes(lab):
        replies = [lab.api.post(places[path].url, json=each.body) for path, each in faulty]

    assert {
        (path, each.what): (reply.status, reply.json()["error"], _pointers(reply))
        for (path, each), reply in zip(faulty, replies, strict=True)
    } == {
        (path, each.what): (400, f"invalid {places[path].name}: 1 fault", [each.pointer])
        for path, each in faulty
    }
    assert send_accepted(lab, places) == ANSWERS


def _mutants(place: Place) -> list[Mutant]:
    if place.operation.body is None:
        return [Mutant("/bogus is unknown", "/bogus", {"bogus": 1})]
    return list(mutants(place.operation.body, place.body))


# Bodies with as many faults as there are, and the pointers to all of them.
WORST: dict[str, tuple[dict[str, Any], set[str]]] = {
    START: (
        {
            "recipeRef": {"id": 1, "bogus": 1},
            "bogus": 1,
            "opts": {"priority": "1", "lane": "fast", "budget": {"maxFanout": 0}, "bogus": 1},
        },
        {
            *("/recipeRef/id", "/recipeRef/v", "/recipeRef/bogus", "/bogus", "/formData"),
            *("/opts/priority", "/opts/lane", "/opts/bogus", "/opts/budget/maxFanout"),
            *("/opts/budget/maxSBXMinutes", "/opts/budget/maxArtifactsMB"),
            *("/opts/budget/maxRetriesPerStep", "/opts/budget/maxWallClockMS"),
        },
    ),
    STORED: (
        {"queuePartitionKey": 7, "workload": {"steps": -1}},
        {
            *("/intentId", "/queuePartitionKey"),
            *("/workload/concurrency", "/workload/steps", "/workload/sandboxMinutes"),
        },
    ),
    REPLY: (
        {"payload": [], "dedupeKey": "", "origin": "nobody", "bogus": 1},
        {"/payload", "/dedupeKey", "/origin", "/bogus"},
    ),
    CANCEL: ({"actor": " ", "bogus": 1}, {"/actor", "/reason", "/bogus"}),
    FORK: (
        {"stepN": "1", "appVersion": 1, "bogus": 1},
        {"/stepN", "/appVersion", "/actor", "/reason", "/bogus"},
    ),
}


@pytest.mark.claim("S03.schema-matrix-400")
def test_all_faults_of_a_body_are_named_together(lab: Stack, unique_goal: str) -> None:
    places = posts(lab, unique_goal)
    with zero_writes(lab):
        replies = {
            path: lab.api.post(places[path].url, json=body) for path, (body, _) in WORST.items()
        }

    assert {path: reply.status for path, reply in replies.items()} == dict.fromkeys(WORST, 400)
    assert {path: set(_pointers(reply)) for path, reply in replies.items()} == {
        path: pointers for path, (_, pointers) in WORST.items()
    }


def _pointers(reply: Reply) -> list[str]:
    return [fault["pointer"] for fault in reply.json()["details"]]
