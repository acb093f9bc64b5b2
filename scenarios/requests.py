"""Requests that would be accepted, for every route that takes a body."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pytest_spec11.stacks import Stack
from scenarios import identity
from scenarios.bodies import HOLE
from scenarios.events import EVENTS, event
from scenarios.intents import RECIPE
from scenarios.inventory import Operation, operations
from scenarios.lives import parked
from scenarios.wishes import OPTS

START, STORED, REPLY = "/api/run", "/api/runs", "/api/runs/{wid}/gates/{gateKey}/reply"
NAMES = {
    START: "RunStartRequest",
    STORED: "CompatRunRequest",
    REPLY: "GateReply",
    EVENTS: "ExternalEvent",
}


def perfect(goal: str, *, stored: str) -> dict[str, dict[str, Any]]:
    """A body for each POST route, with every key it may have and one HOLE for any text.

    The start begins the run of ``goal``, the compat start repeats the run of the goal ``stored``,
    which must have been started with OPTS; the event repeats the reply to its gate.
    """
    wid = identity.workflow_id(stored)
    answer = {
        "payload": {"choice": "yes", "rationale": HOLE},
        "dedupeKey": "qa-1",
        "origin": "manual",
    }
    return {
        START: {"recipeRef": RECIPE, "formData": {"goal": goal}, "opts": _full(goal)},
        STORED: {"intentId": wid, **_full(stored)},
        REPLY: answer,
        EVENTS: event(wid, identity.gate_key(identity.run_id(wid)), **answer),
    }


def _full(goal: str) -> dict[str, Any]:
    wid = identity.workflow_id(goal)
    return {
        **OPTS,
        "traceId": HOLE,
        "queueName": "intentQ",
        "recipeName": "compile-default",
        "recipeVersion": "v1",
        "deduplicationID": identity.intent_hash(goal),
        "taskKey": wid,
    }


@dataclass(frozen=True)
class Place:
    """A POST route, and where it is for one run that waits for a person."""

    operation: Operation
    url: str


def posts(stack: Stack, goal: str) -> dict[str, Place]:
    """Every POST route, by path, for the run of ``goal``, which waits for a person by then.

    Raises AssertionError for a route that this suite has no body for.
    """
    wid = parked(stack.api, goal, **OPTS)["workflowID"]
    (gate,) = stack.api.get(f"/api/runs/{wid}/gates").json()
    found = {each.path: each for each in operations(stack.api) if each.method == "POST"}
    assert found.keys() == NAMES.keys(), "a POST route that has no body here, or is gone"
    return {
        path: Place(found[path], found[path].at(wid=wid, gateKey=gate["gateKey"])) for path in NAMES
    }
