"""S03: what cannot be read, or breaks its schema, is a 400 that says where, and writes nothing."""

from __future__ import annotations

import json

import pytest

from pytest_spec11.stacks import Stack
from scenarios.bodies import NO_OBJECTS, mutants, unreadable
from scenarios.requests import NAMES, perfect, posts
from scenarios.stillness import zero_writes

pytestmark = pytest.mark.S03

LEAST_MUTANTS = 150


@pytest.mark.claim("S03.bad-json-400")
def test_what_is_no_json_is_refused_by_every_post_route(lab: Stack, unique_goal: str) -> None:
    waiting = f"{unique_goal}, waiting"
    places = posts(lab, waiting)
    texts = {path: json.dumps(body) for path, body in perfect(unique_goal, stored=waiting).items()}
    bad = [(path, what, body) for path in places for what, body in unreadable(texts[path]).items()]
    kinds = [(path, text, text.encode()) for path in places for text in NO_OBJECTS]

    with zero_writes(lab):
        replies = {
            (path, what): lab.api.request("POST", places[path].url, content=body)
            for path, what, body in (*bad, *kinds)
        }

    assert {name: reply.status for name, reply in replies.items()} == dict.fromkeys(replies, 400)
    errors = {(path, what): replies[path, what].json()["error"] for path, what, _ in bad}
    assert errors == dict.fromkeys(errors, "invalid json")
    shapes = {(path, what): replies[path, what].json()["error"] for path, what, _ in kinds}
    assert shapes == {(path, what): f"invalid {NAMES[path]}: 1 faults" for path, what, _ in kinds}
    accepted = {
        path: lab.api.request("POST", places[path].url, content=texts[path]).status
        for path in places
    }
    assert accepted == dict(zip(NAMES, (201, 200, 200, 200), strict=True))


@pytest.mark.claim("S03.schema-matrix-400")
def test_every_single_fault_is_refused_where_it_is(lab: Stack, unique_goal: str) -> None:
    waiting = f"{unique_goal}, waiting"
    places = posts(lab, waiting)
    bodies = perfect(unique_goal, stored=waiting)
    faulty = [
        (path, mutant)
        for path, place in places.items()
        for mutant in mutants(place.operation.body or {}, bodies[path])
    ]
    assert len(faulty) >= LEAST_MUTANTS
    assert {"/bogus", "/opts/bogus", "/opts/budget/bogus"} <= {each.pointer for _, each in faulty}

    with zero_writes(lab):
        replies = [lab.api.post(places[path].url, json=each.body) for path, each in faulty]

    assert {
        (path, each.what): (reply.status, reply.json()["error"], _pointers(reply.json()))
        for (path, each), reply in zip(faulty, replies, strict=True)
    } == {
        (path, each.what): (400, f"invalid {NAMES[path]}: 1 faults", [each.pointer])
        for path, each in faulty
    }
    accepted = {path: lab.api.post(places[path].url, json=bodies[path]).status for path in places}
    assert accepted == dict(zip(NAMES, (201, 200, 200, 200), strict=True))


@pytest.mark.claim("S03.schema-matrix-400")
def test_all_faults_of_a_body_are_named_together(lab: Stack, unique_goal: str) -> None:
    waiting = f"{unique_goal}, waiting"
    (start, stored, reply, event) = posts(lab, waiting).values()
    worst = {
        start.url: {
            "recipeRef": {"id": 1, "bogus": 1},
            "bogus": 1,
            "opts": {"priority": "1", "lane": "fast", "budget": {"maxFanout": 0}, "bogus": 1},
        },
        stored.url: {"queuePartitionKey": 7, "workload": {"steps": -1}},
        reply.url: {"payload": [], "dedupeKey": "", "origin": "nobody", "bogus": 1},
        event.url: {"gateKey": "G", "topic": "x", "payload": 1, "dedupeKey": "", "bogus": 1},
    }

    with zero_writes(lab):
        replies = [lab.api.post(url, json=body) for url, body in worst.items()]

    assert [reply.status for reply in replies] == [400] * 4
    assert [set(_pointers(reply.json())) for reply in replies] == [
        {
            "/recipeRef/id", "/recipeRef/v", "/recipeRef/bogus", "/bogus", "/formData",
            "/opts/priority", "/opts/lane", "/opts/bogus",
            "/opts/budget/maxFanout", "/opts/budget/maxSBXMinutes", "/opts/budget/maxArtifactsMB",
            "/opts/budget/maxRetriesPerStep", "/opts/budget/maxWallClockMS",
        },
        {
            "/intentId", "/queuePartitionKey",
            "/workload/concurrency", "/workload/steps", "/workload/sandboxMinutes",
        },
        {"/payload", "/dedupeKey", "/origin", "/bogus"},
        {"/workflowId", "/gateKey", "/topic", "/payload", "/dedupeKey", "/origin", "/bogus"},
    ]  # fmt: skip


def _pointers(refusal: dict[str, list[dict[str, str]]]) -> list[str]:
    return [fault["pointer"] for fault in refusal["details"]]
