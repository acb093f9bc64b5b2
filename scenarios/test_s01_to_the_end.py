"""S01: four steps, each once, and a terminal state that every source agrees on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from itertools import pairwise
from typing import Any

import pytest

from pytest_spec11.fixtures import Provokes
from pytest_spec11.oracles.http import Api
from pytest_spec11.oracles.sql import Sql
from pytest_spec11.waiting import eventually
from scenarios.support.contract import identity
from scenarios.support.contract.headers import FOLLOWERS, OF_APP, TERMINAL
from scenarios.support.contract.start_requests import reply, start
from scenarios.support.runs.run_lifecycle import END_S, PARK_S, answer_run, complete_run, park_run

pytestmark = pytest.mark.S01
STEPS = [
    ("CompileST", 1, "compilation"),
    ("ApplyPatchST", 1, "patching"),
    ("DecideST", 1, "planning"),
    ("ExecuteST", 1, "execution"),
]
EMPTY = "140bedbf9c3f6d56a9846d2ba7088798683f4da0c248231336e6a05679e4fdfe"  # sha256 of "none"
O3 = (
    "SELECT step_id, attempt, phase, started_at <= finished_at AS in_order,"
    " floor(extract(epoch FROM started_at) * 1000)::bigint AS began_ms,"
    " floor(extract(epoch FROM finished_at) * 1000)::bigint AS ended_ms"
    " FROM app.run_steps WHERE run_id = %(r)s ORDER BY started_at, finished_at"
)
TEXTS = {"stdout", "stderr", "none", "file", "text"}
PRIORITIES = {"interactive": 1, "batch": 1000}


@pytest.mark.claim("S01.parks-then-succeeds")
def test_a_run_parks_and_succeeds_in_both_schemas(
    api: Api, app_sql: Sql, sys_sql: Sql, unique_goal: str
) -> None:
    waiting = park_run(api, unique_goal)
    assert (waiting["nextAction"], waiting["lastStep"]) == ("APPROVE_PLAN", "ApplyPatchST")

    ended = answer_run(api, waiting["workflowID"])

    assert (ended["status"], ended["durableStatus"]) == ("SUCCESS", "succeeded")
    assert (ended["nextAction"], ended["lastStep"], ended["error"]) == (None, "ExecuteST", None)
    app = app_sql.one(
        "SELECT status, error, extract(epoch FROM updated_at) * 1000 AS at"
        " FROM app.runs WHERE workflow_id = %(w)s",
        w=ended["workflowID"],
    )
    engine = eventually(lambda: _find_end(sys_sql, ended["workflowID"]), deadline_s=5)
    assert (app["status"], app["error"], engine["status"]) == ("succeeded", None, "SUCCESS")
    assert abs(float(app["at"]) - engine["completed_at"]) <= 5_000


def _find_end(sys_sql: Sql, wid: str) -> dict[str, Any] | None:
    row = sys_sql.one(
        "SELECT status, completed_at FROM dbos.workflow_status WHERE workflow_uuid = %(w)s", w=wid
    )
    return row if row["status"] in TERMINAL else None


@pytest.mark.claim("S01.four-steps-once")
def test_the_four_steps_are_there_once_in_order_in_both_schemas(
    api: Api, app_sql: Sql, sys_sql: Sql, unique_goal: str
) -> None:
    ended = complete_run(api, unique_goal)

    rows = app_sql.rows(O3, r=ended["runId"])
    recorded = sys_sql.rows(
        "SELECT function_name FROM dbos.operation_outputs WHERE workflow_uuid = %(w)s"
        " AND function_name = ANY(%(names)s) ORDER BY function_id",
        w=ended["workflowID"],
        names=[name for name, _, _ in STEPS],
    )
    assert [(row["step_id"], row["attempt"], row["phase"]) for row in rows] == STEPS
    assert [row["in_order"] for row in rows] == [True] * 4
    assert [row["function_name"] for row in recorded] == [name for name, _, _ in STEPS]


@pytest.mark.claim("S01.steps-api-clean")
def test_the_steps_route_shows_those_four_rows_and_no_engine_names(
    api: Api, app_sql: Sql, unique_goal: str
) -> None:
    ended = complete_run(api, unique_goal)

    shown = api.get(f"/api/runs/{ended['workflowID']}/steps").json()

    assert [(row["stepID"], row["attempt"], row["phase"]) for row in shown] == STEPS
    assert {row["status"] for row in shown} == {"SUCCESS"}
    assert [row["name"] for row in shown] == [name for name, _, _ in STEPS]
    stored = app_sql.rows(O3, r=ended["runId"])
    assert [(row["step_id"], row["attempt"], row["phase"]) for row in stored] == STEPS
    times = [(row["began_ms"], row["ended_ms"]) for row in stored]
    assert [(row["startedAt"], row["endedAt"]) for row in shown] == times


@pytest.mark.claim("S01.artifacts-digest")
def test_every_artifacts_bytes_hash_to_its_digest(api: Api, app_sql: Sql, unique_goal: str) -> None:
    ended = complete_run(api, unique_goal)

    kept = app_sql.rows(
        "SELECT step_id, kind, uri, sha256 FROM app.artifacts WHERE run_id = %(r)s",
        r=ended["runId"],
    )

    assert {row["step_id"] for row in kept} == {name for name, _, _ in STEPS}
    for row in kept:
        served = api.get(f"/api/artifacts/{row['uri']}")
        assert (served.status, sha256(served.body).hexdigest()) == (200, row["sha256"])
        is_json = served.headers["content-type"].startswith("application/json")
        assert is_json == (row["kind"] not in TEXTS)
        assert not is_json or json.loads(served.body) is not None
    empty = [row for row in kept if row["kind"] == "none"]
    assert empty, "no step left the sentinel of an empty one"
    assert {row["sha256"] for row in empty} == {EMPTY}


@pytest.mark.claim("S01.artifacts-digest")
def test_an_unknown_artifact_is_404(api: Api, unique_goal: str) -> None:
    run = identity.run_id(identity.workflow_id(unique_goal))

    served = api.get(f"/api/artifacts/artifact://run/{run}/step/CompileST/task//plan.json")

    assert (served.status, served.json()["error"]) == (404, "artifact not found")


@pytest.mark.claim("S01.children-linked")
@pytest.mark.parametrize("plan", [(1, "interactive"), (21, "batch")], ids=["1", "21"])
def test_each_task_is_one_engine_row_with_its_parents_partition_and_priority(
    api: Api, app_sql: Sql, sys_sql: Sql, unique_goal: str, plan: tuple[int, str]
) -> None:
    tests, lane = plan
    opts = {"lane": lane, "queuePartitionKey": f"tenant-{tests}"}

    ended = complete_run(api, unique_goal, form={"topic": f"a plan of {tests}"}, **opts)

    made = app_sql.value(
        "SELECT output FROM app.run_steps WHERE run_id = %(r)s AND step_id = 'CompileST'",
        r=ended["runId"],
    )
    tasks = app_sql.rows("SELECT task_key FROM app.sbx_runs WHERE run_id = %(r)s", r=ended["runId"])
    keys = {row["task_key"] for row in tasks}
    assert (len(made["tests"]), len(tasks), len(keys)) == (tests, tests, tests)
    children = sys_sql.rows(
        "SELECT workflow_uuid, queue_name, queue_partition_key, priority, parent_workflow_id"
        " FROM dbos.workflow_status WHERE workflow_uuid = ANY(%(keys)s)"
        " OR parent_workflow_id = %(w)s",
        keys=list(keys),
        w=ended["workflowID"],
    )
    assert sorted(row["workflow_uuid"] for row in children) == sorted(keys)
    wanted = ("sbxQ", f"tenant-{tests}", PRIORITIES[lane], ended["workflowID"])
    for row in children:
        seen = (row["queue_name"], row["queue_partition_key"], row["priority"])
        assert (*seen, row["parent_workflow_id"]) == wanted


@pytest.mark.claim("S01.status-monotone")
@pytest.mark.parametrize("answer", [("yes", "SUCCESS"), ("no", "ERROR")], ids=["yes", "no"])
def test_the_status_never_falls_back_and_the_stream_ends_with_the_rows_word(
    api: Api, app_sql: Sql, provokes: Provokes, unique_goal: str, answer: tuple[str, str]
) -> None:
    choice, end = answer
    first = api.post("/api/run", json=start(unique_goal)).json()
    wid, stream = first["workflowID"], f"/api/runs/{first['workflowID']}/stream/status"
    if choice == "no":
        provokes(wid, "a plan is rejected on purpose")

    with ThreadPoolExecutor(1) as beside:
        live = beside.submit(api.get, stream, timeout=PARK_S + END_S)
        seen = [first["status"], *_poll_header(api, wid, {"WAITING_INPUT"}, PARK_S)]
        gate = api.get(f"/api/runs/{wid}/gates").json()[0]["gateKey"]
        api.post(f"/api/runs/{wid}/gates/{gate}/reply", json=reply(choice))
        seen += _poll_header(api, wid, TERMINAL, END_S)
        told = [json.loads(line) for line in live.result().body.splitlines()]

    later = [api.get(f"/api/runs/{wid}").json()["status"] for _ in range(5)]
    assert {seen[-1], *later} == {end}
    assert list(_falls([*seen, *later])) == []
    path = ["PENDING", "WAITING_INPUT"] + (["PENDING"] if choice == "yes" else [])
    assert [OF_APP[word] for word in told] == [*path, end]
    assert [json.loads(line) for line in api.get(stream).body.splitlines()] == told
    row = app_sql.value("SELECT status FROM app.runs WHERE workflow_id = %(w)s", w=wid)
    assert told[-1] == row


def _poll_header(
    api: Api, wid: str, until: set[str] | frozenset[str], deadline_s: float
) -> list[str]:
    """Every word that the header said, looked at each 50 ms, up to the first one of ``until``."""
    seen: list[str] = []

    def look() -> bool:
        seen.append(api.get(f"/api/runs/{wid}").json()["status"])
        return seen[-1] in until

    eventually(look, deadline_s=deadline_s, every_s=0.05)
    return seen


def _falls(words: list[str]) -> Iterator[tuple[str, str]]:
    """Every pair of neighbours that is not a move of the state table."""
    for before, after in pairwise(words):
        if after != before and after not in FOLLOWERS[before]:
            yield before, after
