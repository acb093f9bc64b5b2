"""S07: a repair runs again what failed, under an execution of its own, as often as it is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from pytest_spec11.fixtures import Provokes
from pytest_spec11.oracles.snapshot import assert_unchanged
from pytest_spec11.oracles.sql import Row
from pytest_spec11.stacks import Stack
from scenarios.support.contract import identity
from scenarios.support.contract.start_requests import reply, start
from scenarios.support.faults.holds import hold_ends, meet
from scenarios.support.faults.zero_writes import freeze_worker
from scenarios.support.runs.operations import act_accepted, await_settled
from scenarios.support.runs.run_lifecycle import (
    END_S,
    PARK_S,
    answer_run,
    await_status,
    complete_run,
    park_run,
)

pytestmark = pytest.mark.S07

DONE = ("succeeded", "SUCCESS")
FAILED = ("retries_exceeded", "ERROR")
BROKEN = """
CREATE FUNCTION public.broken() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'the ledger of tasks is broken'; END $$;
CREATE TRIGGER broken BEFORE INSERT ON app.sbx_runs FOR EACH ROW
    WHEN (NEW.run_id = '{r}' AND NEW.request ->> 'cmd' IN ('run-test case-02', 'run-test case-04'))
    EXECUTE FUNCTION public.broken()
"""
MENDED = "DROP FUNCTION public.broken CASCADE"
TASKS = """
SELECT request ->> 'cmd' AS cmd, task_key, attempt, err_code FROM app.sbx_runs
WHERE run_id = %(r)s ORDER BY 1, created_at
"""
CHILDREN = """
SELECT workflow_uuid, status FROM dbos.workflow_status WHERE parent_workflow_id = %(w)s
"""
REPAIRS = """
SELECT workflow_uuid, status FROM dbos.workflow_status
WHERE name = 'RepairIntent' AND workflow_uuid LIKE %(like)s ORDER BY created_at
"""
STEPS = """
SELECT step_id, attempt, xmin::text FROM app.run_steps WHERE run_id = %(r)s
ORDER BY started_at, attempt
"""
CALLS = "SELECT op_key FROM app.opencode_calls WHERE run_id = %(r)s ORDER BY 1"
SPOIL = """
UPDATE app.run_steps SET output = '{"bogus": 1}' WHERE run_id = %(r)s AND step_id = %(s)s
RETURNING step_id
"""
CASES = [f"run-test case-0{n}" for n in range(1, 6)]


@contextmanager
def broken_tasks(stack: Stack, wid: str) -> Iterator[None]:
    """Two tasks of the run cannot be recorded, so they fail."""
    stack.admin.execute(BROKEN.format(r=identity.run_id(wid)))
    try:
        yield
    finally:
        stack.admin.execute(MENDED)


def make_rejected_run(stack: Stack, goal: str) -> str:
    """The workflow id of a run that failed because its plan was rejected."""
    wid: str = park_run(stack.api, goal)["workflowID"]
    assert answer_run(stack.api, wid, "no")["status"] == "ERROR"
    assert await_settled(stack, wid) == FAILED
    return wid


def make_half_failed_run(stack: Stack, goal: str) -> str:
    """The workflow id of a run of five tasks of which two failed."""
    body = start(goal, form={"topic": "a plan of 5"})
    wid: str = stack.api.post("/api/run", json=body).json()["workflowID"]
    await_status(stack.api, wid, {"WAITING_INPUT"}, deadline_s=PARK_S)
    with broken_tasks(stack, wid):
        assert answer_run(stack.api, wid)["status"] == "ERROR"
        assert await_settled(stack, wid) == FAILED
    return wid


def find_retry(stack: Stack, wid: str, number: int, step: str) -> str:
    """The execution that is the run's ``number``th repair, as the API says it."""
    answer = stack.api.request("POST", f"/api/runs/{wid}/retry")
    assert (answer.status, answer.json()) == (202, {
        "accepted": True, "workflowID": wid, "newRunId": identity.run_id(wid),
        "executionID": f"rep:{wid}:{number}", "fromStep": step,
    })  # fmt: skip
    execution: str = answer.json()["executionID"]
    return execution


def tasks(stack: Stack, wid: str) -> list[Row]:
    """Every attempt of every task of the run."""
    return stack.app_sql.rows(TASKS, r=identity.run_id(wid))


@pytest.mark.claim("S07.repair-reruns")
def test_a_repair_runs_again_the_tasks_that_failed_and_no_others(
    lab: Stack, provokes: Provokes, unique_goal: str
) -> None:
    wid = make_half_failed_run(lab, unique_goal)
    provokes(wid, "two of its tasks fail on purpose")
    before = tasks(lab, wid)
    assert [row["cmd"] for row in before] == [CASES[n] for n in (0, 2, 4)]
    failed = lab.api.get(f"/api/runs/{wid}").json()
    assert (failed["retryCount"], failed["nextAction"]) == (0, "REPAIR")
    assert "the ledger of tasks is broken" in failed["error"]["message"]

    execution = find_retry(lab, wid, 1, "ExecuteST")

    header = await_status(lab.api, wid, {"SUCCESS"}, deadline_s=END_S)
    assert (header["executionID"], header["retryCount"], header["error"]) == (execution, 1, None)
    assert await_settled(lab, execution) == DONE  # both rows of the execution that owns the run
    after = tasks(lab, wid)
    assert [row["cmd"] for row in after] == CASES
    assert [row for row in after if row["cmd"] in {each["cmd"] for each in before}] == before
    own = lab.sys_sql.rows(CHILDREN, w=execution)
    assert {row["workflow_uuid"] for row in own} == {after[n]["task_key"] for n in (1, 3)}
    assert {row["status"] for row in own} == {"SUCCESS"}
    first = lab.sys_sql.rows(CHILDREN, w=wid)
    assert sorted(row["status"] for row in first) == ["ERROR", "ERROR", *["SUCCESS"] * 3]


@pytest.mark.claim("S07.repair-reruns")
def test_only_what_failed_is_repaired(lab: Stack, provokes: Provokes, unique_goal: str) -> None:
    done = complete_run(lab.api, f"{unique_goal}, done")["workflowID"]
    waiting, gone, mending = (
        park_run(lab.api, f"{unique_goal} {n}")["workflowID"] for n in range(3)
    )
    act_accepted(lab.api, gone, "cancel")
    provokes(mending, "its plan is rejected")
    answer_run(lab.api, mending, "no")
    await_settled(lab, mending)

    with freeze_worker(lab):
        queued = lab.api.post("/api/run", json=start(f"{unique_goal}, queued")).json()["workflowID"]
        find_retry(lab, mending, 1, "DecideST")
        with assert_unchanged(lab.app_sql, lab.sys_sql):
            refused = {
                wid: lab.api.request("POST", f"/api/runs/{wid}/retry")
                for wid in (done, waiting, gone, mending, queued, "nobody")
            }

    said = {wid: (answer.status, answer.json()) for wid, answer in refused.items()}
    assert said.pop("nobody") == (404, {"error": "run not found"})
    words = {done: "succeeded", waiting: "waiting_input", gone: "canceled",
             mending: "repairing", queued: "queued"}  # fmt: skip
    assert said == {
        wid: (409, {"error": f"cannot retry run in status {word}", "code": "illegal_state"})
        for wid, word in words.items()
    }


@pytest.mark.claim("S07.repair-reruns")
@pytest.mark.parametrize(
    ("step", "failed"), [("CompileST", make_rejected_run), ("DecideST", make_half_failed_run)]
)
def test_a_repair_makes_nothing_anew_on_top_of_what_it_cannot_read(
    lab: Stack,
    provokes: Provokes,
    unique_goal: str,
    step: str,
    failed: Callable[[Stack, str], str],
) -> None:
    wid = failed(lab, unique_goal)
    run = identity.run_id(wid)
    provokes(wid, "a step of it is spoilt")
    assert lab.admin.execute(SPOIL, r=run, s=step) == [{"step_id": step}]
    before = read_executions(lab, wid)

    answer = lab.api.request("POST", f"/api/runs/{wid}/retry")

    assert answer.status == 202
    execution = answer.json()["executionID"]
    assert await_settled(lab, execution) == FAILED
    header = await_status(lab.api, wid, {"ERROR"}, deadline_s=END_S)
    assert header["error"]["message"].startswith(f"stored {step} is malformed")
    assert (header["executionID"], header["retryCount"]) == (execution, 1)
    assert read_executions(lab, wid) == before


def read_executions(stack: Stack, wid: str) -> tuple[Any, ...]:
    """All that the run's executions made: steps, questions, tasks, gates."""
    run = identity.run_id(wid)
    return (
        stack.app_sql.rows(STEPS, r=run),
        stack.app_sql.rows(CALLS, r=run),
        tasks(stack, wid),
        [gate["gateKey"] for gate in stack.api.get(f"/api/runs/{wid}/gates").json()],
    )


@pytest.mark.claim("S07.repair-repeats")
def test_a_repair_asks_again_and_can_be_repaired_again(
    lab: Stack, provokes: Provokes, unique_goal: str
) -> None:
    wid = make_rejected_run(lab, unique_goal)
    provokes(wid, "its plan is rejected twice")

    first = find_retry(lab, wid, 1, "DecideST")
    assert reply_to_newest(lab, wid, "no", gates=2)["executionID"] == first
    assert await_settled(lab, first) == FAILED

    second = find_retry(lab, wid, 2, "DecideST")
    ended = reply_to_newest(lab, wid, "yes", gates=3)

    assert (ended["status"], ended["executionID"], ended["retryCount"]) == ("SUCCESS", second, 2)
    assert (ended["error"], await_settled(lab, second)) == (None, DONE)
    repairs = lab.sys_sql.rows(REPAIRS, like=f"rep:{wid}:%")
    assert [(row["workflow_uuid"], row["status"]) for row in repairs] == [
        (first, "ERROR"), (second, "SUCCESS"),
    ]  # fmt: skip
    steps = lab.app_sql.rows(STEPS, r=identity.run_id(wid))
    assert [(row["step_id"], row["attempt"]) for row in steps if row["attempt"] > 1] == [
        ("ApplyPatchST", 2), ("ApplyPatchST", 3), ("DecideST", 3), ("ExecuteST", 3),
    ]  # fmt: skip


def reply_to_newest(stack: Stack, wid: str, choice: str, *, gates: int) -> dict[str, Any]:
    """The header at the end, once ``choice`` was accepted at the last of so many gates."""
    await_status(stack.api, wid, {"WAITING_INPUT"}, deadline_s=PARK_S)
    listed = stack.api.get(f"/api/runs/{wid}/gates").json()
    assert [gate["state"] for gate in listed] == [*["RESOLVED"] * (gates - 1), "PENDING"]
    assert len({gate["gateKey"] for gate in listed}) == gates
    place = f"/api/runs/{wid}/gates/{listed[-1]['gateKey']}/reply"
    assert stack.api.post(place, json=reply(choice)).status == 200
    return await_status(stack.api, wid, {"SUCCESS", "ERROR"}, deadline_s=END_S)


KEY = 708


@pytest.mark.claim("S07.repair-repeats")
def test_of_two_repairs_at_once_one_is_made(
    lab: Stack, provokes: Provokes, unique_goal: str
) -> None:
    doors = [lab.api, lab.api_at("twin")]
    for n, pair in enumerate((doors, doors[::-1])):
        wid = make_rejected_run(lab, f"{unique_goal} {n}")
        provokes(wid, "its plan is rejected")
        asks = [partial(door.request, "POST", f"/api/runs/{wid}/retry") for door in pair]

        with hold_ends(lab, identity.run_id(wid), KEY, "repairing") as place:
            crowd = meet(place, asks, led_by=2)

        assert [each.status for each in crowd.replies()] == [202, 409]
        repairs = lab.sys_sql.rows(REPAIRS, like=f"rep:{wid}:%")
        assert [row["workflow_uuid"] for row in repairs] == [f"rep:{wid}:1"]
        header = await_status(lab.api, wid, {"WAITING_INPUT"}, deadline_s=PARK_S)
        assert header["retryCount"] == 1
        act_accepted(lab.api, f"rep:{wid}:1", "cancel")
