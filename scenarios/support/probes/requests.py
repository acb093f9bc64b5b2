"""Acceptable requests for every POST route."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pytest_spec11.stacks import Stack
from scenarios.support.contract import identity
from scenarios.support.contract.events import EVENTS, event
from scenarios.support.contract.inventory import Operation, operations
from scenarios.support.contract.start_options import OPTS
from scenarios.support.contract.start_requests import RECIPE
from scenarios.support.probes.malformed_bodies import HOLE
from scenarios.support.probes.subjects import Subject, subject
from scenarios.support.runs import promotions
from scenarios.support.runs.promotions import EXPORT, IMPORT, PROMOTE
from scenarios.support.runs.run_lifecycle import park_run

START, STORED, REPLY = "/api/run", "/api/runs", "/api/runs/{wid}/gates/{gateKey}/reply"
CANCEL, RESUME, FORK = "/api/ops/wf/{id}/cancel", "/api/ops/wf/{id}/resume", "/api/ops/wf/{id}/fork"
RETRY, DEMO = "/api/runs/{wid}/retry", "/crashdemo"
# The name of each body in refusals; the last three are of requests without a body.
NAMES = {
    CANCEL: "Action",
    RESUME: "Action",
    FORK: "ForkAction",
    START: "RunStartRequest",
    STORED: "CompatRunRequest",
    REPLY: "GateReply",
    EVENTS: "ExternalEvent",
    IMPORT: "RecipeBundle",
    EXPORT: "RecipeExportRequest",
    RETRY: "body",
    DEMO: "body",
    PROMOTE: "body",
}
# The answer of each to its perfect body, in this order: none is a refusal of the body.
ANSWERS = {
    CANCEL: 202,
    RESUME: 202,
    FORK: 202,
    START: 201,
    STORED: 200,
    REPLY: 200,
    EVENTS: 200,
    IMPORT: 201,
    EXPORT: 404,  # there is no such recipe
    RETRY: 409,  # the run has not failed
    DEMO: 202,
    PROMOTE: 409,  # what is stable goes no further
}


@dataclass(frozen=True)
class Place:
    """A POST route, where it is for one run that waits for a person, and its perfect body.

    The body has every key that there may be, and one HOLE for any text; {} where none is needed.
    """

    operation: Operation
    name: str
    url: str
    body: dict[str, Any]

    @property
    def text(self) -> str:
        """The perfect body as it is sent."""
        return json.dumps(self.body)

    @property
    def around_hole(self) -> str:
        """A body with a HOLE: the perfect one, or any where none is needed."""
        return self.text if self.operation.body else json.dumps({"bogus": HOLE})


def waiting(goal: str) -> str:
    """The goal of the run that ``posts(stack, goal)`` leaves waiting."""
    return f"{goal}, waiting"


def posts(stack: Stack, goal: str) -> dict[str, Place]:
    """Every POST route, by path, for the run of ``waiting(goal)``; the start begins ``goal``.

    Raises AssertionError for a route that this suite has no body for.
    """
    wid = park_run(stack.api, waiting(goal), **OPTS)["workflowID"]
    about, bodies = subject(stack.api, wid), _perfect(goal)
    found = {each.path: each for each in operations(stack.api) if each.method == "POST"}
    assert found.keys() == NAMES.keys(), "a POST route that has no body in here, or is gone"
    bodies[IMPORT] = _bundle(stack, goal)
    return {path: _place(found[path], about, bodies.get(path, {})) for path in NAMES}


def send_accepted(stack: Stack, places: dict[str, Place]) -> dict[str, int]:
    """How each place answers its perfect body: as ANSWERS says, or refusals prove nothing."""
    return {
        path: stack.api.request("POST", places[path].url, content=places[path].text).status
        for path in ANSWERS
    }


def _place(operation: Operation, about: Subject, body: dict[str, Any]) -> Place:
    assert bool(body) == bool(operation.body), f"{operation.route} takes another body"
    return Place(operation, NAMES[operation.path], about.url(operation), body)


def _perfect(goal: str) -> dict[str, dict[str, Any]]:
    """The start begins the run of ``goal``; the stored start repeats the one that waits.

    The event repeats the reply to its gate.
    """
    action = {"actor": "qa", "reason": HOLE}
    stored = waiting(goal)
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
        CANCEL: action,
        RESUME: action,
        FORK: {**action, "stepN": 1, "appVersion": "elsewhere"},
        EXPORT: {"id": HOLE},
    }


def _bundle(stack: Stack, goal: str) -> dict[str, Any]:
    """A recipe that nobody has, with a check of each kind."""
    checks: list[dict[str, Any]] = [
        {"id": "there", "kind": "file_exists", "glob": "*"},
        {"id": "fits", "kind": "jsonschema", "artifact": "*", "schema": {}},
        {"id": "rows", "kind": "rowcount_gte", "artifact": "*", "n": 1},
        {"id": "says", "kind": "regex", "artifact": "*", "re": "."},
        {"id": "like", "kind": "diff_le", "artifactA": "*", "artifactB": "*", "max": 1},
    ]
    prompts = {"compile": HOLE, "postmortem": "Analyze failures only"}
    spec = promotions.spec(stack.app_sql, goal, eval=checks, prompts=prompts)
    return {"id": "a bundle", "versions": [spec]}


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
