"""Cancel, resume, fork and repair, on real processes: both schemas keep in step."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from pytest_spec11.waiting import eventually
from tests.engine.lives import (
    BY,
    answer,
    engine_ended,
    finish_run,
    header,
    park_run,
    wait_for_status,
)
from tests.engine.shim_process import Shim, running_shim
from tests.engine.worker_process import running_worker

STEPS = "SELECT step_id, attempt FROM app.run_steps WHERE run_id = %s ORDER BY started_at, attempt"
NAMES = ["CompileST", "ApplyPatchST", "DecideST", "ExecuteST"]


@pytest.fixture(scope="module")
def stack(clone: Callable[[], str]) -> Iterator[Shim]:
    """An api-shim and a worker on a database of this module."""
    with running_shim(clone()) as shim, running_worker(shim.dsn):
        yield shim


def act(shim: Shim, wid: str, op: str, **more: object) -> Any:
    return shim.http.post(f"/api/ops/wf/{wid}/{op}", json={**BY, **more})


def of_run(shim: Shim, run_id: str) -> str:
    """One digest over every row that belongs to the run, but for its audit."""
    tables = ("run_steps", "artifacts", "sbx_runs", "human_gates", "human_interactions", "runs")
    found = []
    for name in tables:
        column = "id" if name == "runs" else "run_id"
        query = f"SELECT t::text FROM app.{name} t WHERE {column} = %s ORDER BY 1"  # noqa: S608  # our names
        found += [row["t"] for row in shim.rows(query, run_id) if "op-intent" not in row["t"]]
    return sha256("".join(found).encode()).hexdigest()


def test_a_run_canceled_at_its_gate_stays_so_and_goes_on_when_resumed(stack: Shim) -> None:
    wid = park_run(stack, "cancel at the gate")

    canceled = act(stack, wid, "cancel")

    assert (canceled.status_code, canceled.json()) == (202, {"accepted": True, "workflowID": wid})
    assert (header(stack, wid)["status"], engine_ended(stack, wid)) == ("CANCELLED", "CANCELLED")
    assert answer(stack, wid) == 409
    assert act(stack, wid, "cancel").json()["error"] == (
        "cannot cancel workflow in status CANCELLED"
    )
    assert act(stack, wid, "resume").status_code == 202
    wait_for_status(stack, wid, "WAITING_INPUT")
    assert answer(stack, wid) == 200
    ended = wait_for_status(stack, wid, "SUCCESS")
    assert engine_ended(stack, wid) == "SUCCESS"
    assert stack.rows(STEPS, ended["runId"]) == [{"step_id": n, "attempt": 1} for n in NAMES]
    rows = stack.rows(
        "SELECT queue_name, queue_partition_key FROM dbos.workflow_status WHERE workflow_uuid = %s",
        wid,
    )
    assert rows == [{"queue_name": "intentQ", "queue_partition_key": "acme"}]


def test_an_action_and_its_audit_are_seen_together(stack: Shim) -> None:
    wid = park_run(stack, "audited")
    act(stack, wid, "cancel")
    act(stack, wid, "resume")

    seen = stack.http.get(f"/api/ops/wf/{wid}").json()

    assert [(row["op"], row["actor"], row["reason"]) for row in seen["audit"]] == [
        ("resume", "ops", "drill"),
        ("cancel", "ops", "drill"),
    ]
    assert {row["targetWorkflowID"] for row in seen["audit"]} == {wid}


@pytest.mark.parametrize(
    ("op", "body", "status"),
    [
        ("cancel", {"actor": "a"}, 400),
        ("cancel", {"actor": " ", "reason": "r"}, 400),
        ("resume", {"actor": "a", "reason": ""}, 400),
        ("fork", {"actor": "a", "reason": "r"}, 400),
        ("fork", {"actor": "a", "reason": "r", "stepN": "1"}, 400),
        ("fork", {"actor": "a", "reason": "r", "stepN": 0}, 400),
        ("cancel", {"actor": "a", "reason": "r"}, 409),
        ("resume", {"actor": "a", "reason": "r"}, 409),
        ("fork", {"actor": "a", "reason": "r", "stepN": 99}, 409),
    ],
)
def test_what_may_not_be_done_leaves_no_trace(
    stack: Shim, op: str, body: dict[str, object], status: int
) -> None:
    wid = finish_run(stack, f"refused {op} {body}")
    run_id = header(stack, wid)["runId"]
    before = of_run(stack, run_id)

    refused = stack.http.post(f"/api/ops/wf/{wid}/{op}", json=body)
    unknown = stack.http.post(f"/api/ops/wf/nobody/{op}", json=body)

    assert (refused.status_code, unknown.status_code) == (status, 400 if status == 400 else 404)
    assert of_run(stack, run_id) == before
    assert stack.http.get(f"/api/ops/wf/{wid}").json()["audit"] == []


@pytest.mark.parametrize("at", ["ExecuteST", "DecideST", "OpenGate", "CompileST"])
def test_a_fork_of_a_finished_run_is_a_run_of_its_own(stack: Shim, at: str) -> None:
    wid = finish_run(stack, f"fork at {at}")
    run_id = header(stack, wid)["runId"]
    before = of_run(stack, run_id)
    done = stack.http.get(f"/api/ops/wf/{wid}/steps").json()
    number = next(each["functionId"] for each in done if each["stepId"] == at)

    forked = act(stack, wid, "fork", stepN=number).json()["forkedWorkflowID"]

    if at in {"OpenGate", "CompileST"}:
        wait_for_status(stack, forked, "WAITING_INPUT")
        assert answer(stack, forked) == 200
    ended = wait_for_status(stack, forked, "SUCCESS")
    assert engine_ended(stack, forked) == "SUCCESS"
    assert [row["step_id"] for row in stack.rows(STEPS, ended["runId"])] == NAMES
    assert ended["runId"] != run_id
    assert of_run(stack, run_id) == before


def test_a_fork_of_a_parked_run_waits_at_a_gate_of_its_own(stack: Shim) -> None:
    wid = park_run(stack, "fork while parked")
    last = max(each["functionId"] for each in stack.http.get(f"/api/ops/wf/{wid}/steps").json())

    forked = act(stack, wid, "fork", stepN=last).json()["forkedWorkflowID"]

    wait_for_status(stack, forked, "WAITING_INPUT")
    own, source = (stack.http.get(f"/api/runs/{each}/gates").json() for each in (forked, wid))
    assert own[0]["gateKey"] != source[0]["gateKey"]
    assert answer(stack, forked) == 200
    wait_for_status(stack, forked, "SUCCESS")
    assert header(stack, wid)["status"] == "WAITING_INPUT"
    assert answer(stack, wid) == 200
    wait_for_status(stack, wid, "SUCCESS")


def fixtures(place: Path, command: str) -> None:
    """Plans of two tests; the first of them runs ``command``."""
    tests = [command, "fine"]
    plan = {"design": [], "files": [], "risks": [], "tests": tests}
    build = {"patch": [], "tests": tests, "test_command": ""}
    for agent, answered in (("plan", plan), ("build", {**build, "test_command": "sh"})):
        document = {
            "schemaVersion": 1,
            "match": {"agent": agent, "inputs": {"topic": "repair"}},
            "answer": {"structured": answered, "tools": []},
        }
        (place / f"{agent}.json").write_text(json.dumps(document))


def test_a_repair_runs_again_what_failed_and_clears_the_error(
    clone: Callable[[], str], tmp_path: Path
) -> None:
    fixtures(tmp_path, "x")
    with (
        running_shim(clone()) as shim,
        running_worker(shim.dsn, OC_FIXTURES_DIR=str(tmp_path)),
    ):
        wid = park_run(shim, "to be repaired")
        assert answer(shim, wid, "no") == 200
        failed = wait_for_status(shim, wid, "ERROR")
        assert (failed["nextAction"], failed["retryCount"]) == ("REPAIR", 0)
        assert engine_ended(shim, wid) == "ERROR"

        accepted = shim.http.post(f"/api/runs/{wid}/retry")

        assert accepted.status_code == 202
        assert accepted.json()["executionID"] == f"rep:{wid}:1"
        again = wait_for_status(shim, wid, "WAITING_INPUT")
        assert (again["executionID"], again["retryCount"]) == (f"rep:{wid}:1", 1)
        gates = shim.http.get(f"/api/runs/{wid}/gates").json()
        assert [gate["state"] for gate in gates] == ["RESOLVED", "PENDING"]
        assert shim.http.post(f"/api/runs/{wid}/retry").status_code == 409
        assert answer(shim, wid) == 200
        ended = wait_for_status(shim, wid, "SUCCESS")
        assert (ended["error"], ended["nextAction"]) == (None, None)
        assert [(row["step_id"], row["attempt"]) for row in shim.rows(STEPS, ended["runId"])] == [
            ("CompileST", 1), ("ApplyPatchST", 1), ("ApplyPatchST", 2), ("DecideST", 2),
            ("ExecuteST", 2),
        ]  # fmt: skip


def test_a_queued_run_can_be_canceled_without_a_worker(own_shim: Shim) -> None:
    wid = own_shim.start("never begun").json()["workflowID"]

    assert act(own_shim, wid, "cancel").status_code == 202

    assert header(own_shim, wid)["durableStatus"] == "canceled"
    assert act(own_shim, wid, "resume").status_code == 202
    assert header(own_shim, wid)["durableStatus"] == "queued"
    with running_worker(own_shim.dsn):
        wait_for_status(own_shim, wid, "WAITING_INPUT")
        eventually(lambda: answer(own_shim, wid) == 200, deadline_s=5)
        wait_for_status(own_shim, wid, "SUCCESS")


def test_a_run_whose_time_is_up_is_canceled_in_both_schemas(stack: Shim) -> None:
    wid = stack.start("out of time", timeoutMS=700).json()["workflowID"]

    ended = eventually(
        lambda: header(stack, wid),
        deadline_s=20,
        until=lambda seen: seen["durableStatus"] == "canceled",
    )

    assert (ended["status"], engine_ended(stack, wid)) == ("CANCELLED", "CANCELLED")
    assert ended["error"] == {"message": "the run's time limit passed"}
    (gate,) = stack.http.get(f"/api/runs/{wid}/gates").json()
    assert (gate["state"], answer(stack, wid)) == ("CANCELLED", 409)
