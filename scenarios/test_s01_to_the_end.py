"""S01: four steps, each once, and a terminal state that every source agrees on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import sha256
from itertools import pairwise
from typing import Any

import pytest

from pytest_spec11.fixtures import Provokes
from pytest_spec11.oracles.http import Api
from pytest_spec11.oracles.sql import Sql
from pytest_spec11.waiting import eventually
from scenarios import identity
from scenarios.headers import FOLLOWERS, OF_APP, TERMINAL
from scenarios.intents import PARTITION, start
from scenarios.lives import answered, parked, succeeded

pytestmark = pytest.mark.S01
STEPS = [
    ("CompileST", 1, "compilation"),
    ("ApplyPatchST", 1, "patching"),
    ("DecideST", 1, "planning"),
    ("ExecuteST", 1, "execution"),
]
EMPTY = "140bedbf9c3f6d56a9846d2ba7088798683f4da0c248231336e6a05679e4fdfe"  # sha256 of "none"
O3 = (
    "SELECT step_id, attempt, phase, started_at, finished_at FROM app.run_steps"
    " WHERE run_id = %(r)s ORDER BY started_at, finished_at"
)


@pytest.mark.claim("S01.parks-then-succeeds")
def test_a_run_parks_and_succeeds_in_both_schemas(
    api: Api, app_sql: Sql, sys_sql: Sql, unique_goal: str
) -> None:
    waiting = parked(api, unique_goal)
    assert (waiting["nextAction"], waiting["lastStep"]) == ("APPROVE_PLAN", "ApplyPatchST")

    ended = answered(api, waiting["workflowID"])

    assert (ended["status"], ended["durableStatus"]) == ("SUCCESS", "succeeded")
    assert (ended["nextAction"], ended["lastStep"], ended["error"]) == (None, "ExecuteST", None)
    app = app_sql.one(
        "SELECT status, error, extract(epoch FROM updated_at) * 1000 AS at"
        " FROM app.runs WHERE workflow_id = %(w)s",
        w=ended["workflowID"],
    )
    engine = eventually(lambda: _ended(sys_sql, ended["workflowID"]), deadline_s=5)
    assert (app["status"], app["error"], engine["status"]) == ("succeeded", None, "SUCCESS")
    assert abs(float(app["at"]) - engine["completed_at"]) <= 5_000


def _ended(sys_sql: Sql, wid: str) -> dict[str, Any] | None:
    row = sys_sql.one(
        "SELECT status, completed_at FROM dbos.workflow_status WHERE workflow_uuid = %(w)s", w=wid
    )
    return row if row["status"] in TERMINAL else None


@pytest.mark.claim("S01.four-steps-once")
def test_the_four_steps_are_there_once_in_order_in_both_schemas(
    api: Api, app_sql: Sql, sys_sql: Sql, unique_goal: str
) -> None:
    ended = succeeded(api, unique_goal)

    rows = app_sql.rows(O3, r=ended["runId"])
    recorded = sys_sql.rows(
        "SELECT function_name FROM dbos.operation_outputs WHERE workflow_uuid = %(w)s"
        " AND function_name = ANY(%(names)s) ORDER BY function_id",
        w=ended["workflowID"],
        names=[name for name, _, _ in STEPS],
    )
    assert [(row["step_id"], row["attempt"], row["phase"]) for row in rows] == STEPS
    assert all(row["started_at"] <= row["finished_at"] for row in rows)
    assert [row["function_name"] for row in recorded] == [name for name, _, _ in STEPS]


@pytest.mark.claim("S01.steps-api-clean")
def test_the_steps_route_shows_those_four_rows_and_no_engine_names(
    api: Api, app_sql: Sql, unique_goal: str
) -> None:
    ended = succeeded(api, unique_goal)

    shown = api.get(f"/api/runs/{ended['workflowID']}/steps").json()

    assert [(row["stepID"], row["attempt"], row["phase"]) for row in shown] == STEPS
    assert {row["status"] for row in shown} == {"SUCCESS"}
    assert [row["name"] for row in shown] == [name for name, _, _ in STEPS]
    stored = app_sql.rows(O3, r=ended["runId"])
    times = [(_ms(row["started_at"]), _ms(row["finished_at"])) for row in stored]
    assert [(row["startedAt"], row["endedAt"]) for row in shown] == times
    assert [(row["step_id"], row["attempt"], row["phase"]) for row in stored] == STEPS


def _ms(at: Any) -> int:
    return int(at.timestamp() * 1000)


@pytest.mark.claim("S01.artifacts-digest")
def test_every_artifacts_bytes_hash_to_its_digest(api: Api, app_sql: Sql, unique_goal: str) -> None:
    ended = succeeded(api, unique_goal)

    kept = app_sql.rows(
        "SELECT step_id, kind, uri, sha256 FROM app.artifacts WHERE run_id = %(r)s",
        r=ended["runId"],
    )

    assert {row["step_id"] for row in kept} == {name for name, _, _ in STEPS}
    for row in kept:
        served = api.get(f"/api/artifacts/{row['uri']}")
        assert (served.status, sha256(served.body).hexdigest()) == (200, row["sha256"])
        if served.headers["content-type"].startswith("application/json"):
            json.loads(served.body)
        else:
            assert row["kind"] in {"stdout", "stderr", "none", "file", "text"}
    empty = [row for row in kept if row["kind"] == "none"]
    assert empty, "no step left the sentinel of an empty one"
    assert {row["sha256"] for row in empty} == {EMPTY}


@pytest.mark.claim("S01.artifacts-digest")
def test_an_unknown_artifact_is_404(api: Api, unique_goal: str) -> None:
    run = identity.run_id(identity.workflow_id(unique_goal))

    reply = api.get(f"/api/artifacts/artifact://run/{run}/step/CompileST/task//plan.json")

    assert (reply.status, reply.json()["error"]) == (404, "artifact not found")


@pytest.mark.claim("S01.children-linked")
@pytest.mark.parametrize("plan", [(1, "interactive"), (21, "batch")], ids=["1", "21"])
def test_each_task_is_one_engine_row_with_its_parents_partition_and_priority(
    api: Api, app_sql: Sql, sys_sql: Sql, unique_goal: str, plan: tuple[int, str]
) -> None:
    tests, lane = plan
    ended = succeeded(api, f"{unique_goal} tests={tests}", lane=lane)

    made = app_sql.value(
        "SELECT output FROM app.run_steps WHERE run_id = %(r)s AND step_id = 'CompileST'",
        r=ended["runId"],
    )
    tasks = app_sql.rows("SELECT task_key FROM app.sbx_runs WHERE run_id = %(r)s", r=ended["runId"])
    keys = [row["task_key"] for row in tasks]
    children = sys_sql.rows(
        "SELECT workflow_uuid, queue_name, queue_partition_key, priority, parent_workflow_id"
        " FROM dbos.workflow_status WHERE workflow_uuid = ANY(%(keys)s)",
        keys=keys,
    )
    assert (len(made["tests"]), len(keys), len(set(keys))) == (tests, tests, tests)
    assert sorted(row["workflow_uuid"] for row in children) == sorted(keys)
    wanted = ("sbxQ", PARTITION, {"interactive": 1, "batch": 1000}[lane], ended["workflowID"])
    for row in children:
        seen = (row["queue_name"], row["queue_partition_key"], row["priority"])
        assert (*seen, row["parent_workflow_id"]) == wanted


@pytest.mark.claim("S01.status-monotone")
@pytest.mark.parametrize("answer", [("yes", "SUCCESS"), ("no", "ERROR")], ids=["yes", "no"])
def test_the_status_never_falls_back_and_the_stream_ends_with_the_rows_word(
    api: Api, app_sql: Sql, provokes: Provokes, unique_goal: str, answer: tuple[str, str]
) -> None:
    choice, end = answer
    wid = api.post("/api/run", json=start(unique_goal)).json()["workflowID"]
    if choice == "no":
        provokes(wid, "a plan is rejected on purpose")
    seen = ["ENQUEUED"]

    def polled(until: frozenset[str]) -> bool:
        seen.append(api.get(f"/api/runs/{wid}").json()["status"])
        return seen[-1] in until

    eventually(lambda: polled(frozenset({"WAITING_INPUT"})), deadline_s=10, every_s=0.05)
    gate = api.get(f"/api/runs/{wid}/gates").json()[0]["gateKey"]
    body = {"payload": {"choice": choice}, "dedupeKey": "qa-1", "origin": "manual"}
    api.post(f"/api/runs/{wid}/gates/{gate}/reply", json=body)
    eventually(lambda: polled(TERMINAL), deadline_s=20, every_s=0.05)
    told = [
        json.loads(line) for line in api.get(f"/api/runs/{wid}/stream/status").body.splitlines()
    ]
    word = app_sql.value("SELECT status FROM app.runs WHERE workflow_id = %(w)s", w=wid)

    polled_again = [api.get(f"/api/runs/{wid}").json()["status"] for _ in range(5)]
    assert set(polled_again) == {seen[-1]} == {end}
    assert list(_falls(seen)) == []
    streamed = [OF_APP[one] for one in told]
    path = ["PENDING", "WAITING_INPUT"] + (["PENDING"] if choice == "yes" else [])
    assert streamed == [*path, end]
    assert (told[-1], OF_APP[word]) == (word, end)


def _falls(words: list[str]) -> Iterator[tuple[str, str]]:
    """Every pair of neighbours that is not a move of the state table."""
    for before, after in pairwise(words):
        if after != before and after not in FOLLOWERS[before]:
            yield before, after
