"""S03: without its database the engine says 500, soon, and is itself again when it comes back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx
import pytest

from pytest_spec11.oracles.http import Reply
from pytest_spec11.stacks import Stack, Stacks
from pytest_spec11.waiting import Stopwatch, eventually
from scenarios.support.contract.inventory import operations
from scenarios.support.crowds.concurrent_requests import at_once
from scenarios.support.faults.outages import refusing
from scenarios.support.probes.requests import ANSWERS, posts
from scenarios.support.probes.subjects import subject
from scenarios.support.runs.run_lifecycle import complete_run, park_run

pytestmark = pytest.mark.S03

SOON_S = 5.0
BACK_S = 10.0
INTERNAL = (500, {"error": "internal error"})
BROKEN_OFF = 0
RUN = "SELECT status FROM app.runs WHERE workflow_id = %(w)s"
RUNS = "SELECT id, status, retry_count FROM app.runs ORDER BY id"


@pytest.fixture
def own(stacks: Stacks) -> Iterator[Stack]:
    """A private stack for one outage."""
    with stacks.start() as stack:
        yield stack


@pytest.mark.claim("S03.db-down-500")
def test_every_route_fails_soon_and_works_again(own: Stack, unique_goal: str) -> None:
    asks, acts = _questions(own, unique_goal), _actions(own, unique_goal)
    assert asks.keys() | acts.keys() == _routes_under_api(own)
    assert {route for route, ask in asks.items() if ask().status != 200} == set()
    pid, before = own.process("api").pid, own.app_sql.rows(RUNS)

    with refusing(own):
        down = at_once([*asks.values(), *acts.values()])
        health = own.api.get("/healthz")
    returned = Stopwatch()

    assert [(each.status, each.reply.json()) for each in down] == [INTERNAL] * len(down)
    assert max(each.reply.own_s for each in down) < SOON_S
    assert (health.status, health.json()["ok"], health.own_s < SOON_S) == (503, False, True)
    assert own.app_sql.rows(RUNS) == before
    eventually(lambda: {ask().status for ask in asks.values()} == {200}, deadline_s=BACK_S)
    eventually(lambda: own.api.get("/healthz").json()["ok"], deadline_s=BACK_S)
    assert returned.own_s < BACK_S
    assert (own.proc.alive("api"), own.process("api").pid) == (True, pid)
    assert {route: act().status for route, act in acts.items()} == {
        route: ANSWERS[route.removeprefix("POST ")] for route in acts
    }


@pytest.mark.claim("S03.db-down-500")
def test_what_was_under_way_is_not_answered_in_part(own: Stack, unique_goal: str) -> None:
    wid, gate = _waiting(own, unique_goal)
    asks = [f"{gate}?timeoutS=30", f"/api/runs/{wid}/stream/status"]

    with ThreadPoolExecutor(2) as pool:
        poll, stream = (pool.submit(_outcome, partial(own.api.get, url)) for url in asks)
        assert own.api.get(gate).json()["state"] == "PENDING"
        with refusing(own):
            began = Stopwatch()
            outcomes = poll.result(), stream.result()
            took_s = began.own_s

    assert outcomes[0] == 500
    assert outcomes[1] in {500, BROKEN_OFF}  # as it had not, or had, begun to flow
    assert took_s < SOON_S
    assert own.app_sql.rows(RUN, w=wid) == [{"status": "waiting_input"}]
    eventually(lambda: _outcome(partial(own.api.get, gate)) == 200, deadline_s=BACK_S)
    assert own.proc.alive("api")


def _waiting(stack: Stack, goal: str) -> tuple[str, str]:
    """Workflow id and gate of a run that waits for a person; the gate as a path."""
    wid = park_run(stack.api, f"{goal}, parked")["workflowID"]
    (gate,) = stack.api.get(f"/api/runs/{wid}/gates").json()
    return wid, f"/api/runs/{wid}/gates/{gate['gateKey']}"


def _outcome(ask: Callable[[], Reply]) -> int:
    """The reply's status, BROKEN_OFF for one that began and did not end."""
    try:
        return ask().status
    except httpx.RemoteProtocolError:
        return BROKEN_OFF


def _routes_under_api(stack: Stack) -> set[str]:
    return {each.route for each in operations(stack.api) if each.path.startswith("/api/")}


def _questions(stack: Stack, goal: str) -> dict[str, Callable[[], Reply]]:
    """One right request to each route that can be asked without writing, about an ended run."""
    about = subject(stack.api, complete_run(stack.api, f"{goal}, ended")["workflowID"])
    return {
        each.route: partial(stack.api.get, about.url(each))
        for each in operations(stack.api)
        if each.path.startswith("/api/") and each.method == "GET"
    }


def _actions(stack: Stack, goal: str) -> dict[str, Callable[[], Reply]]:
    """The perfect request to each route that writes, in an order in which all are accepted."""
    places = posts(stack, goal)
    return {
        f"POST {path}": partial(stack.api.request, "POST", place.url, content=place.text)
        for path, place in ((path, places[path]) for path in ANSWERS)
        if path.startswith("/api/")
    }
