"""S03: a body that is too large or too slow is refused, and the others do not feel it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pytest_spec11.oracles.http import Reply
from pytest_spec11.oracles.proc import Exit
from pytest_spec11.stacks import Stack
from pytest_spec11.waiting import eventually
from scenarios.support.contract import identity
from scenarios.support.contract.inventory import operations
from scenarios.support.contract.start_options import OPTS
from scenarios.support.contract.start_requests import start
from scenarios.support.crowds.concurrent_requests import at_once
from scenarios.support.faults import slow_body_client
from scenarios.support.faults.zero_writes import zero_writes
from scenarios.support.probes.requests import ANSWERS, Place, posts, waiting
from scenarios.support.probes.subjects import subject

pytestmark = pytest.mark.S03

MIB = 1024 * 1024
TOO_SLOW = (400, {"error": "body too slow", "code": "body_too_slow"})
TOO_LARGE = (400, {"error": "body too large", "code": "body_too_large"})
LARGE = b" " * 10_000_000
CROWD = 50
MAY_GROW = 64 * MIB
ANSWERS_S = 2.0


@pytest.mark.claim("S03.body-limits")
def test_a_body_over_one_mebibyte_is_refused_unread(lab: Stack, unique_goal: str) -> None:
    places = posts(lab, unique_goal)

    with zero_writes(lab):
        perfect = {path: _send_padded(lab, place, MIB + 1) for path, place in places.items()}
        no_json = {
            (path, size): lab.api.request("POST", place.url, content=b"{bad".ljust(size))
            for path, place in places.items()
            for size in (MIB + 1, 2 * MIB)
        }

    for replies in (perfect, no_json):
        said = [(reply.status, reply.json()) for reply in replies.values()]
        assert said == [TOO_LARGE] * len(replies)
    assert {path: _send_padded(lab, places[path], MIB).status for path in ANSWERS} == ANSWERS


def _send_padded(stack: Stack, place: Place, size: int) -> Reply:
    """The reply to the place's perfect body, made as long as ``size`` bytes by white space."""
    return stack.api.request("POST", place.url, content=place.text.ljust(size))


@pytest.mark.claim("S03.body-limits")
def test_fifty_large_bodies_at_once_do_not_fill_the_memory(lab: Stack) -> None:
    lab.api.get("/healthz")
    asks = [partial(lab.api.request, "POST", "/api/run", content=LARGE) for _ in range(CROWD)]
    memory = [lab.proc.memory("api")]

    def watched_until_answered() -> bool:
        memory.append(lab.proc.memory("api"))
        return crowd.done()

    with ThreadPoolExecutor(1) as pool:
        crowd = pool.submit(at_once, asks)
        eventually(watched_until_answered, deadline_s=60, every_s=0.005)

    answers = [(each.status, each.reply.json()) for each in crowd.result()]
    assert answers == [TOO_LARGE] * CROWD
    assert len(memory) > 10
    assert max(memory) - memory[0] < MAY_GROW


@pytest.mark.claim("S03.body-limits")
def test_a_trickled_body_is_cut_off_and_nobody_else_waits(lab: Stack, unique_goal: str) -> None:
    places = posts(lab, unique_goal)
    asks = _questions(lab, waiting(unique_goal))
    rounds: list[list[Reply]] = []
    beside = 0  # rounds that were over before any of the slow ones was

    def asked_until_cut_off() -> bool:
        nonlocal beside
        rounds.append([ask() for ask in asks])
        beside += not any(each.done() for each in slow)
        return all(each.done() for each in slow)

    with zero_writes(lab), ThreadPoolExecutor(len(places)) as pool:
        slow = [pool.submit(_send_slowly, lab, place.url) for place in places.values()]
        eventually(asked_until_cut_off, deadline_s=2 * slow_body_client.LASTS_S, every_s=0.2)

    assert max(reply.own_s for replies in rounds for reply in replies) < ANSWERS_S
    assert {reply.status for replies in rounds for reply in replies} == {200}
    assert beside > 0
    told = [json.loads(each.result().stdout) for each in slow]
    assert min(each["tookS"] for each in told) > 1  # else nothing trickled
    assert [(each["status"], json.loads(each["body"])) for each in told] == [TOO_SLOW] * len(slow)


def _questions(stack: Stack, goal: str) -> list[Callable[[], Reply]]:
    """What others ask meanwhile: every GET of the inventory, and a start that is a replay."""
    about = subject(stack.api, identity.workflow_id(goal))
    gets = [
        about.url(each)
        for each in operations(stack.api)
        if each.method == "GET" and not each.path.endswith("/stream/status")  # it ends with the run
    ]
    replay = partial(stack.api.post, "/api/run", json=start(goal, **OPTS))
    return [replay, *(partial(stack.api.get, url) for url in gets)]


def _send_slowly(stack: Stack, path: str) -> Exit:
    at = urlsplit(stack.base_url)
    words = [at.hostname or "", str(at.port), path]
    return stack.proc.run([sys.executable, str(Path(slow_body_client.__file__)), *words])
