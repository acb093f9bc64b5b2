"""S03: without its database the engine says 500, soon, and is itself again when it comes back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import httpx
import pytest

from pytest_spec11.oracles.http import Reply
from pytest_spec11.stacks import Stack, Stacks
from pytest_spec11.waiting import eventually
from scenarios import identity
from scenarios.crowds import at_once
from scenarios.events import EVENTS, event
from scenarios.intents import reply, start
from scenarios.inventory import operations
from scenarios.lives import parked, succeeded
from scenarios.outages import refusing
from scenarios.wishes import OPTS

pytestmark = pytest.mark.S03

SOON_S = 5.0
BACK_S = 10.0
INTERNAL = (500, {"error": "internal error"})
BROKEN_OFF = 0
RUN = "SELECT status FROM app.runs WHERE workflow_id = %(w)s"


@pytest.fixture
def own(stacks: Stacks) -> Iterator[Stack]:
    """A private stack for one outage."""
    with stacks.start() as stack:
        yield stack


@pytest.mark.claim("S03.db-down-500")
def test_every_route_fails_soon_and_works_again(own: Stack, unique_goal: str) -> None:
    asks = _questions(own, unique_goal)
    assert {route for route, ask in asks.items() if ask().status != 200} == set()
    fresh = partial(own.api.post, "/api/run", json=start(f"{unique_goal}, fresh"))
    wid, gate = _waiting(own, unique_goal)
    yes = partial(own.api.post, f"{gate}/reply", json=reply())
    pid = own.process("api").pid

    with refusing(own):
        down = at_once([*asks.values(), fresh, yes])
        health = own.api.get("/healthz")
    returned = time.monotonic()

    assert [(each.status, each.reply.json()) for each in down] == [INTERNAL] * len(down)
    assert max(each.reply.elapsed_s for each in down) < SOON_S
    assert (health.status, health.json()["ok"], health.elapsed_s < SOON_S) == (503, False, True)
    assert own.app_sql.rows(RUN, w=identity.workflow_id(f"{unique_goal}, fresh")) == []
    assert own.app_sql.rows(RUN, w=wid) == [{"status": "waiting_input"}]
    eventually(lambda: {ask().status for ask in asks.values()} == {200}, deadline_s=BACK_S)
    eventually(lambda: own.api.get("/healthz").json()["ok"], deadline_s=BACK_S)
    assert time.monotonic() - returned < BACK_S
    assert (own.proc.alive("api"), own.process("api").pid) == (True, pid)
    assert (fresh().status, yes().json()) == (201, {"ok": True, "isReplay": False})


@pytest.mark.claim("S03.db-down-500")
def test_what_was_under_way_is_not_answered_in_part(own: Stack, unique_goal: str) -> None:
    wid, gate = _waiting(own, unique_goal)
    asks = [f"{gate}?timeoutS=30", f"/api/runs/{wid}/stream/status"]

    with ThreadPoolExecutor(2) as pool:
        poll, stream = (pool.submit(_outcome, partial(own.api.get, url)) for url in asks)
        assert own.api.get(gate).json()["state"] == "PENDING"
        with refusing(own):
            began = time.monotonic()
            outcomes = poll.result(), stream.result()
            took_s = time.monotonic() - began

    assert outcomes[0] == 500
    assert outcomes[1] in {500, BROKEN_OFF}  # as it had not, or had, begun to flow
    assert took_s < SOON_S
    assert own.app_sql.rows(RUN, w=wid) == [{"status": "waiting_input"}]
    eventually(lambda: _outcome(partial(own.api.get, gate)) == 200, deadline_s=BACK_S)
    assert own.proc.alive("api")


def _waiting(stack: Stack, goal: str) -> tuple[str, str]:
    """Workflow id and gate of a run that waits for a person; the gate as a path."""
    wid = parked(stack.api, f"{goal}, parked")["workflowID"]
    (gate,) = stack.api.get(f"/api/runs/{wid}/gates").json()
    return wid, f"/api/runs/{wid}/gates/{gate['gateKey']}"


def _outcome(ask: Callable[[], Reply]) -> int:
    """The reply's status, BROKEN_OFF for one that began and did not end."""
    try:
        return ask().status
    except httpx.RemoteProtocolError:
        return BROKEN_OFF


def _questions(stack: Stack, goal: str) -> dict[str, Callable[[], Reply]]:
    """One right request to each route under /api, about a run that has ended; none writes."""
    wid = succeeded(stack.api, goal, **OPTS)["workflowID"]
    (gate,) = stack.api.get(f"/api/runs/{wid}/gates").json()
    (step, *_) = stack.api.get(f"/api/runs/{wid}/steps").json()
    names = {
        "wid": wid,
        "gateKey": gate["gateKey"],
        "id": "compile-default",
        "uri": step["artifactRefs"][0]["id"],
    }
    bodies: dict[str, dict[str, Any]] = {
        "/api/run": start(goal, **OPTS),
        "/api/runs": {"intentId": wid, **OPTS},
        "/api/runs/{wid}/gates/{gateKey}/reply": reply(),
        EVENTS: event(wid, gate["gateKey"], dedupeKey="qa-1"),
    }
    return {
        f"{each.method} {each.path}": partial(
            stack.api.request, each.method, each.at(**names), json=bodies.get(each.path)
        )
        for each in operations(stack.api)
        if each.path.startswith("/api/")
    }
