"""Workers die, freeze and come back; the run goes on, and everything it does is done once."""

from __future__ import annotations

import signal
from collections.abc import Callable

from pytest_spec11.waiting import GIVE_UP_S, eventually
from tests.engine.lives import answer, header, park_run, wait_for_status
from tests.engine.shim_process import Shim, running_shim
from tests.engine.worker_process import running_worker, start_worker

ONCE = """
SELECT (SELECT array_agg(step_id || ' ' || attempt ORDER BY started_at)
        FROM app.run_steps) AS steps,
       (SELECT count(*) FROM app.sbx_runs) AS tasks,
       (SELECT count(*) FROM app.human_interactions) AS answers,
       (SELECT array_agg(seen_count) FROM app.mock_receipts) AS receipts,
       (SELECT count(*) FROM dbos.workflow_events_history) AS events
"""
DONE_ONCE = {
    "steps": ["CompileST 1", "ApplyPatchST 1", "DecideST 1", "ExecuteST 1"],
    "tasks": 1,
    "answers": 1,
    "receipts": [1],
    "events": 4,
}
ESCALATED = "SELECT FROM dbos.workflow_status WHERE workflow_uuid = %s AND status = 'SUCCESS'"
CLOCK = "SELECT clock_timestamp() + '2 s'::interval AS at"  # long after a lost one is taken over
CUT = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = %s
"""
SEEN_SINCE = "SELECT executor_id FROM app.executors WHERE seen_at > %s ORDER BY 1"
EXECUTORS = "SELECT executor_id FROM dbos.workflow_status WHERE workflow_uuid = %s"


def executing(shim: Shim) -> bool:
    return bool(
        shim.rows("SELECT FROM dbos.workflow_status WHERE name = 'RunTask' AND status = 'PENDING'")
    )


def test_a_worker_killed_at_a_gate_comes_back_and_finishes(own_shim: Shim) -> None:
    with running_worker(own_shim.dsn) as worker:
        wid = park_run(own_shim, "killed at the gate")
        assert worker.kill() == -signal.SIGKILL
    assert answer(own_shim, wid) == 200

    with running_worker(own_shim.dsn):
        wait_for_status(own_shim, wid, "SUCCESS")

    assert own_shim.rows(ONCE) == [DONE_ONCE]


def test_another_worker_takes_over_what_a_dead_one_was_running(own_shim: Shim) -> None:
    slow = {"CHAOS_SLEEP_EXECUTE": "2000"}
    with running_worker(own_shim.dsn, "w0", **slow) as first:
        wid = park_run(own_shim, "killed in its task")
        with running_worker(own_shim.dsn, "w1", **slow):
            assert answer(own_shim, wid) == 200
            eventually(lambda: executing(own_shim), deadline_s=10)
            first.kill()
            wait_for_status(own_shim, wid, "SUCCESS", deadline_s=30)

    assert own_shim.rows(ONCE) == [DONE_ONCE]
    assert own_shim.rows(EXECUTORS, wid) == [{"executor_id": "w1"}]


def test_a_frozen_worker_loses_its_runs_and_ends_when_it_thaws(own_shim: Shim) -> None:
    with running_worker(own_shim.dsn, "w0") as first:
        wid = park_run(own_shim, "frozen")
        first.send(signal.SIGSTOP)
        with running_worker(own_shim.dsn, "w1"):
            assert answer(own_shim, wid) == 200
            wait_for_status(own_shim, wid, "SUCCESS", deadline_s=30)
            first.send(signal.SIGCONT)
            assert first.process.wait(GIVE_UP_S) == 5

    assert own_shim.rows(ONCE) == [DONE_ONCE]


def test_a_worker_whose_sessions_are_cut_keeps_its_runs(own_shim: Shim) -> None:
    with running_worker(own_shim.dsn, "w0") as first:
        wid = park_run(own_shim, "cut off")
        with running_worker(own_shim.dsn, "w1") as second:
            seen = own_shim.rows(CLOCK)
            assert len(own_shim.rows(CUT, "spec11-worker-w0")) >= 3
            eventually(
                lambda: own_shim.rows(SEEN_SINCE, seen[0]["at"]), deadline_s=20, until=is_everybody
            )
            assert answer(own_shim, wid) == 200
            wait_for_status(own_shim, wid, "SUCCESS")
            assert [each.process.poll() for each in (first, second)] == [None, None]

    assert own_shim.rows(ONCE) == [DONE_ONCE]
    assert own_shim.rows(EXECUTORS, wid) == [{"executor_id": "w0"}]


def is_everybody(rows: list[dict[str, str]]) -> bool:
    return [row["executor_id"] for row in rows] == ["w0", "w1"]


def test_two_processes_cannot_be_one_executor(own_shim: Shim) -> None:
    with running_worker(own_shim.dsn, "w0"):
        second = start_worker(own_shim.dsn, "w0")

        assert second.wait(GIVE_UP_S) == 3
        assert second.stdout is not None
        assert second.stdout.read() == ""
        second.stdout.close()


def test_a_worker_of_another_version_leaves_a_run_alone(own_shim: Shim) -> None:
    with running_worker(own_shim.dsn, "other", DBOS__APPVERSION="v2"):
        wid = own_shim.start("of version v1").json()["workflowID"]
        warned = own_shim.http.get("/healthz").json()["warnings"]
        assert warned == ["no live worker of version v1: starts are durable and wait"]
        assert header(own_shim, wid)["status"] == "ENQUEUED"
        with running_worker(own_shim.dsn, "right"):
            wait_for_status(own_shim, wid, "WAITING_INPUT")

    assert own_shim.rows(EXECUTORS, wid) == [{"executor_id": "right"}]


def test_a_gate_that_nobody_answers_is_a_no(clone: Callable[[], str]) -> None:
    with running_shim(clone(), HITL_PLAN_APPROVAL_TIMEOUT_S="1") as shim, running_worker(shim.dsn):
        wid = shim.start("silence").json()["workflowID"]
        wait_for_status(shim, wid, "ERROR")
        gate = shim.http.get(f"/api/runs/{wid}/gates").json()[0]
        ended = header(shim, wid)
        told = shim.rows("SELECT key, value::json ->> 'reason' AS why FROM dbos.workflow_events")
        escalation = f"esc:{wid}:{gate['gateKey']}"
        eventually(lambda: len(shim.rows(ESCALATED, escalation)) == 1, deadline_s=10)
        artifacts = shim.rows(
            "SELECT task_key, inline ->> 'event' AS event FROM app.artifacts"
            " WHERE step_id = 'EscalateTimeout'"
        )

    assert (gate["state"], gate["decision"], gate["result"]["state"]) == (
        "TIMED_OUT", "no", "TIMED_OUT",
    )  # fmt: skip
    assert artifacts == [{"task_key": gate["gateKey"], "event": "TIMEOUT_ESCALATION"}]
    assert ended["error"] == {"message": "Plan approval failed: no (rationale: timeout)"}
    assert (ended["durableStatus"], ended["nextAction"]) == ("retries_exceeded", "REPAIR")
    assert {"key": f"ui:{gate['gateKey']}:audit", "why": "timeout"} in told
