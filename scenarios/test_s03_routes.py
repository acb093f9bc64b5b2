"""S03: no route answers for a run that is not there, and no path answers that is no route."""

from __future__ import annotations

import pytest

from pytest_spec11.stacks import Stack
from scenarios.intents import reply
from scenarios.inventory import METHODS, operations
from scenarios.stillness import zero_writes

pytestmark = pytest.mark.S03

OF_A_RUN = "/api/runs/{wid}"
NOBODY = ["ih_" + "0" * 64, "run_" + "0" * 32, "ih_", "x", "ÄÖ ✓", "%", "a/b", "../recipes"]
NO_PATHS = [
    "/", "/api", "/api/", "/api/run/", "/api/runs/", "/api/ops", "/api/nothing", "/API/run",
    "/api/runs/x/steps/more", "/api//run", "/api/artifacts", "/api/artifacts/", "/api/run%2F",
    "/api/runs/%00", "/api/runs/%ff/steps", "/openapi.json/", "/healthz/more",
]  # fmt: skip


@pytest.mark.claim("S03.unknown-run-404")
def test_every_route_of_an_unknown_run_says_so(lab: Stack) -> None:
    routes = [each for each in operations(lab.api) if each.path.startswith(OF_A_RUN)]
    assert {each.path.removeprefix(OF_A_RUN) for each in routes} >= {
        "", "/steps", "/gates", "/gates/{gateKey}", "/gates/{gateKey}/reply", "/interactions",
        "/stream/status",
    }  # fmt: skip
    asked = [
        (each, each.at(wid=wid, gateKey="approve-plan-0")) for each in routes for wid in NOBODY
    ]

    with zero_writes(lab):
        replies = {
            (each.method, url): lab.api.request(
                each.method, url, json=reply() if each.body else None
            )
            for each, url in asked
        }

    assert {place: (said.status, said.json()) for place, said in replies.items()} == dict.fromkeys(
        replies, (404, {"error": "run not found"})
    )


@pytest.mark.claim("S03.unknown-run-404")
def test_a_path_or_method_that_is_no_route_is_not_found(lab: Stack) -> None:
    known = {(each.method, each.path) for each in operations(lab.api)}
    paths = {path for _, path in known}
    wrong = [
        (method, path.replace("{", "").replace("}", ""))
        for path in sorted(paths)
        for method in METHODS
        if (method, path) not in known
    ]
    assert len(wrong) == len(paths) * len(METHODS) - len(known)
    unknown = [(method, path) for path in NO_PATHS for method in ("GET", "POST", "DELETE")]

    with zero_writes(lab):
        replies = {
            (method, path): lab.api.request(method, path) for method, path in (*wrong, *unknown)
        }

    assert {place: said.status for place, said in replies.items()} == dict.fromkeys(replies, 404)
    shown = {place: said.json() for place, said in replies.items() if place[0] != "HEAD"}
    assert shown == dict.fromkeys(shown, {"error": "not found"})
