"""S02: crowds, options that may not be, and a start of which one half is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from pytest_spec11.oracles.http import Reply
from pytest_spec11.stacks import Stack
from scenarios.support.contract import identity
from scenarios.support.contract.start_options import INERT, Options
from scenarios.support.contract.start_requests import start
from scenarios.support.faults.holds import hold_start, meet
from scenarios.support.faults.zero_writes import zero_writes
from scenarios.support.runs.run_lifecycle import answer_run, await_status

pytestmark = pytest.mark.S02

RUN = "SELECT * FROM app.runs WHERE workflow_id = %(w)s"
INTENT = "SELECT id FROM app.intents WHERE id = %(w)s"
WORKFLOW = "SELECT * FROM dbos.workflow_status WHERE workflow_uuid = %(w)s"
ATTEMPTS = """
SELECT 'steps' AS of, array_agg(DISTINCT attempt) AS attempts
FROM app.run_steps WHERE run_id = %(r)s
UNION ALL
SELECT 'artifacts', array_agg(DISTINCT attempt) FROM app.artifacts WHERE run_id = %(r)s
UNION ALL
SELECT 'tasks', array_agg(DISTINCT attempt) FROM app.sbx_runs WHERE run_id = %(r)s
"""
PARK_S = 15.0


@pytest.mark.claim("S02.concurrent-100")
def test_a_hundred_starts_at_once_are_one_run(lab: Stack, unique_goal: str) -> None:
    doors = [lab.api, lab.api_at("twin")]
    ports = [socket.port for name in ("api", "twin") for socket in lab.proc.sockets(name)]
    urls = [lab.url_of(name) for name in ("api", "twin")]
    assert urls == [f"http://127.0.0.1:{port}" for port in ports]
    asks = [partial(door.post, "/api/run", json=start(unique_goal)) for door in doors * 50]

    wid = identity.workflow_id(unique_goal)
    with hold_start(lab, wid) as place:
        crowd = meet(place, asks, led_by=2)  # one at each api-shim
    answers = crowd.replies()

    assert Counter(answer.status for answer in answers) == {201: 1, 200: 99}
    assert {answer.json()["workflowID"] for answer in answers} == {wid}
    for sql, rows in ((lab.app_sql, RUN), (lab.app_sql, INTENT), (lab.sys_sql, WORKFLOW)):
        assert len(sql.rows(rows, w=wid)) == 1
    await_status(lab.api, wid, {"WAITING_INPUT"}, deadline_s=PARK_S)
    assert answer_run(lab.api, wid)["status"] == "SUCCESS"
    attempts = lab.app_sql.rows(ATTEMPTS, r=identity.run_id(wid))
    assert {row["of"]: row["attempts"] for row in attempts} == {
        "steps": [1],
        "artifacts": [1],
        "tasks": [1],
    }
    assert lab.sys_sql.one(WORKFLOW, w=wid)["recovery_attempts"] == 1


@pytest.mark.claim("S02.concurrent-mixed")
@pytest.mark.parametrize("turn", [1, 2, 3])
def test_of_two_wishes_at_once_one_is_the_run_and_one_is_refused(
    lab: Stack, unique_goal: str, turn: int
) -> None:
    goal = f"{unique_goal}, turn {turn}"
    doors = [lab.api, lab.api_at("twin")]
    sides = [partition for partition in ("left", "right") for _ in doors]
    asks = [
        partial(door.post, "/api/run", json=start(goal, queuePartitionKey=side))
        for door, side in zip(doors * 50, sides * 25, strict=True)
    ]

    wid = identity.workflow_id(goal)
    # One of each side is there first, by turns the left and the right.
    led = [asks[turn % 2 * 2], asks[2 - turn % 2 * 2]]
    order = [*led, *(ask for ask in asks if ask not in led)]
    with hold_start(lab, wid) as place:
        crowd = meet(place, order, led_by=2)
    of = dict(zip(map(id, order), crowd.replies(), strict=True))
    answers = [of[id(ask)] for ask in asks]

    kept = lab.app_sql.one(RUN, w=wid)["queue_partition_key"]
    mine: list[Reply] = []
    others: list[Reply] = []
    for side, answer in zip(sides * 25, answers, strict=True):
        (mine if side == kept else others).append(answer)
    assert Counter(answer.status for answer in mine) == {201: 1, 200: 49}
    assert Counter(answer.status for answer in others) == {409: 50}
    assert lab.sys_sql.one(WORKFLOW, w=wid)["queue_partition_key"] == kept
    assert {
        (drift["existing"], drift["field"]) for answer in others for drift in answer.json()["drift"]
    } == {(kept, "queue_partition_key")}


@pytest.mark.claim("S02.inert-opts-refused")
def test_options_that_nobody_would_heed_are_refused(lab: Stack, unique_goal: str) -> None:
    with zero_writes(lab):
        replies = [lab.api.post("/api/run", json=start(unique_goal, **wish)) for wish in INERT]

    assert {reply.status for reply in replies} == {400}
    assert {reply.json()["code"] for reply in replies} == {"queue_policy_violation"}
    assert [{fault["pointer"] for fault in reply.json()["details"]} for reply in replies] == [
        {f"/opts/{name}" for name in wish} for wish in INERT
    ]


@pytest.mark.claim("S02.inert-opts-refused")
def test_options_that_restate_the_pinned_recipe_are_accepted(lab: Stack, unique_goal: str) -> None:
    wid = identity.workflow_id(unique_goal)
    restated = {
        "queueName": "intentQ",
        "recipeName": "compile-default",
        "recipeVersion": "v1",
        "deduplicationID": identity.intent_hash(unique_goal),
        "taskKey": wid,
    }
    wishes: list[Options] = [restated, *({name: each} for name, each in restated.items()), {}]

    replies = [lab.api.post("/api/run", json=start(unique_goal, **wish)) for wish in wishes]

    assert [reply.status for reply in replies] == [201, *[200] * 6]
    assert {reply.json()["workflowID"] for reply in replies} == {wid}
    assert lab.app_sql.one(RUN, w=wid)["queue_name"] == "intentQ"
    assert lab.sys_sql.one(WORKFLOW, w=wid)["queue_partition_key"] == "tenant-acme"


@contextmanager
def _no_enqueue(stack: Stack) -> Iterator[None]:
    """The engine's role may not insert into the durable engine's queue."""
    stack.admin.execute("REVOKE INSERT ON dbos.workflow_status FROM spec11")
    try:
        yield
    finally:
        stack.admin.execute("GRANT INSERT ON dbos.workflow_status TO spec11")


@pytest.mark.claim("S02.failed-start-heals")
def test_a_start_whose_enqueue_is_refused_leaves_nothing_and_heals(
    lab: Stack, unique_goal: str
) -> None:
    with zero_writes(lab), _no_enqueue(lab):
        refused = lab.api.post("/api/run", json=start(unique_goal))

    assert (refused.status, refused.json()) == (500, {"error": "internal error"})
    assert lab.proc.alive("api")
    healed = lab.api.post("/api/run", json=start(unique_goal))
    assert (healed.status, healed.json()["isReplay"]) == (201, False)
    wid = identity.workflow_id(unique_goal)
    await_status(lab.api, wid, {"WAITING_INPUT"}, deadline_s=PARK_S)
    assert lab.app_sql.one(RUN, w=wid)["status"] == "waiting_input"
    assert lab.sys_sql.one(WORKFLOW, w=wid)["status"] == "PENDING"
