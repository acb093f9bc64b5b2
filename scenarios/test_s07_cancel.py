"""S07: what is canceled stays so in both schemas, wherever the cancellation met it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from uuid import uuid4

import pytest

from pytest_spec11.oracles.http import Reply
from pytest_spec11.stacks import Stack, Stacks
from pytest_spec11.target import Target
from pytest_spec11.waiting import GIVE_UP_S, Stopwatch, eventually
from scenarios.support.contract import identity
from scenarios.support.contract.start_requests import reply, start
from scenarios.support.faults.holds import hold, hold_ends, meet
from scenarios.support.runs import exactly_once
from scenarios.support.runs.operations import (
    WF,
    act,
    act_accepted,
    audit,
    await_settled,
    ops,
    pipe_commands,
    words,
)
from scenarios.support.runs.run_lifecycle import park_run

pytestmark = pytest.mark.S07

AT_ONCE_S = 5.0
LATER_S = 10.0
GATE = "SELECT state, closed_at FROM app.human_gates WHERE run_id = %(r)s"
ANSWERS = "SELECT dedupe_key FROM app.human_interactions WHERE run_id = %(r)s"
CANCELED = ("canceled", "CANCELLED")


@dataclass(frozen=True)
class Gone:
    """A run that was canceled at its gate, and when, by our own clock."""

    wid: str
    at_s: float


@pytest.fixture(scope="module", autouse=True)
def gone(lab: Stack) -> Gone:
    """A run canceled at its gate; the time after which it is looked at again passes meanwhile.

    The goal is new each time: a worker of xdist may come back to this file after another one.
    """
    wid = park_run(lab.api, f"gone in {__name__}, {uuid4()}")["workflowID"]
    act_accepted(lab.api, wid, "cancel")
    return Gone(wid, time.monotonic())


@pytest.mark.claim("S07.cancel-at-gate")
def test_a_run_canceled_at_its_gate_is_over_in_both_schemas(lab: Stack, unique_goal: str) -> None:
    wid = park_run(lab.api, unique_goal)["workflowID"]
    run = identity.run_id(wid)
    gate = f"/api/runs/{wid}/gates/{identity.gate_key(run)}"
    assert wid in waiting(lab)

    act_accepted(lab.api, wid, "cancel")

    eventually(lambda: words(lab, wid) == CANCELED, deadline_s=AT_ONCE_S)
    fresh = lab.api.post(f"{gate}/reply", json=reply())
    assert (fresh.status, fresh.json()["code"]) == (409, "run_not_waiting")
    assert lab.api.get(gate).json()["state"] == "CANCELLED"
    (closed,) = lab.app_sql.rows(GATE, r=run)
    assert (closed["state"], closed["closed_at"] is not None) == ("CANCELLED", True)
    assert wid not in waiting(lab)
    assert lab.app_sql.rows(ANSWERS, r=run) == []
    header = lab.api.get(f"/api/runs/{wid}").json()
    assert (header["status"], header["durableStatus"], header["nextAction"]) == (
        "CANCELLED", "canceled", None,
    )  # fmt: skip


def waiting(stack: Stack) -> set[str]:
    """Whom the inbox names."""
    return {row["workflowID"] for row in stack.api.get("/api/hitl/inbox?limit=200").json()}


NAP_S = 1.5
MARKS = "SELECT mark FROM app.marks WHERE workflow_id = %(w)s ORDER BY id"


@pytest.mark.claim("S07.cancel-mid-steps")
def test_what_is_canceled_in_its_sleep_never_wakes_until_it_is_resumed(
    lab: Stack, spec11_target: Target, unique_goal: str
) -> None:
    wf = f"demo-{identity.intent_hash(unique_goal)}"
    naps = {"WF_SLEEP_MS": str(int(NAP_S * 1000))}
    lab.begin(spec11_target.process("api").using(naps, name="napping"))
    api = lab.api_at("napping")
    assert api.request("POST", f"/crashdemo?wf={wf}").status == 202
    eventually(lambda: api.get(f"/marks?wf={wf}").json()["s1"] == 1, deadline_s=10)
    asleep_s = time.monotonic()

    act_accepted(api, wf, "cancel")

    engine = "SELECT status FROM dbos.workflow_status WHERE workflow_uuid = %(w)s"
    eventually(lambda: time.monotonic() > asleep_s + 2 * NAP_S, deadline_s=3 * NAP_S, every_s=0.1)
    assert lab.sys_sql.value(engine, w=wf) == "CANCELLED"
    assert marks(lab, wf) == ["s1"]
    assert api.get(f"/marks?wf={wf}").json() == {"s1": 1, "s2": 0}
    act_accepted(api, wf, "resume")
    eventually(lambda: lab.sys_sql.value(engine, w=wf) == "SUCCESS", deadline_s=15)
    assert marks(lab, wf) == ["s1", "s2"]
    assert [row["op"] for row in audit(lab.app_sql, wf)] == ["cancel", "resume"]


def marks(stack: Stack, wf: str) -> list[str]:
    """Every mark in the log, which no key keeps from being there twice."""
    return [row["mark"] for row in stack.app_sql.rows(MARKS, w=wf)]


TURNS = 4
KEY, TASK_KEY = 717, 718
ENDED = ("succeeded", "SUCCESS")


@pytest.mark.claim("S07.cancel-finish-race")
def test_a_cancellation_meets_the_end_of_a_run_and_one_of_them_wins(
    lab: Stack, unique_goal: str
) -> None:
    wids = [park_run(lab.api, f"{unique_goal} {n}")["workflowID"] for n in range(2 * TURNS)]
    first, second = wids[:TURNS], wids[TURNS:]

    answers = {wid: cancel_before_the_end(lab, wid) for wid in first}
    answers |= {wid: cancel_behind_the_end(lab, wid) for wid in second}

    ends = {wid: await_settled(lab, wid) for wid in wids}
    lost = [wid for wid, answer in answers.items() if answer.status == 409]
    assert ends == {wid: ENDED if wid in lost else CANCELED for wid in wids}
    assert lost == second
    assert {answers[wid].json()["error"] for wid in lost} == {
        "cannot cancel workflow in status SUCCESS"
    }
    assert {wid: words(lab, wid) for wid in wids} == ends
    for wid in lost:
        assert exactly_once.facts(lab, wid) == exactly_once.expect_success(wid)
        assert audit(lab.app_sql, wid) == []


def cancel_before_the_end(stack: Stack, wid: str) -> Reply:
    """What a cancellation gets that is about to be made when the run is about to end."""
    run = identity.run_id(wid)
    task = hold(stack, TASK_KEY, "BEFORE INSERT ON app.sbx_runs", f"NEW.run_id = '{run}'")
    with (
        ThreadPoolExecutor(1) as pool,
        task as last,
        hold_ends(stack, run, KEY, "canceled") as made,
    ):
        let_go_on(stack, wid)
        last.await_statements(1)
        asked = pool.submit(act, stack.api, wid, "cancel")
        made.await_statements(1)
        last.let_go()
        made.await_blocked(2)  # the run's last task waits for the cancellation, too
    return asked.result(GIVE_UP_S)


def cancel_behind_the_end(stack: Stack, wid: str) -> Reply:
    """What a cancellation gets that comes when the run's end is about to be written."""
    with hold_ends(stack, identity.run_id(wid), KEY, "succeeded") as end:
        let_go_on(stack, wid)
        end.await_statements(1)
        met = meet(end, [partial(act, stack.api, wid, "cancel")], led_by=1, behind=1)
    (answer,) = met.replies()
    return answer


def let_go_on(stack: Stack, wid: str) -> None:
    """The run's plan is approved."""
    gate = identity.gate_key(identity.run_id(wid))
    assert stack.api.post(f"/api/runs/{wid}/gates/{gate}/reply", json=reply()).status == 200


QUEUED = 120
DRAINED_S = 15.0
COUNTS = "SELECT status, count(*) AS n FROM {table} GROUP BY status"
ACTIVE = """
SELECT count(*) FROM dbos.workflow_status WHERE status IN ('ENQUEUED', 'DELAYED', 'PENDING')
"""
BATCH = """
SELECT count(*) AS n, count(DISTINCT inline ->> 'targetWorkflowID') AS runs FROM app.artifacts
WHERE step_id = 'OPS' AND inline ->> 'op' = 'cancel' AND inline ->> 'actor' = 'ops-batch'
  AND inline ->> 'reason' = 'incident 7'
"""


@pytest.mark.claim("S07.cancel-queued")
def test_a_hundred_and_twenty_that_wait_for_a_worker_are_canceled_by_one_command(
    stacks: Stacks, unique_goal: str
) -> None:
    with stacks.start(only=("api",)) as stack:
        for n in range(QUEUED):
            assert stack.api.post("/api/run", json=start(f"{unique_goal} {n}")).status == 201
        listing = ("list", "--status", "ENQUEUED", "--limit", "200", "--ids")
        first, again = ops(stack, *listing), ops(stack, *listing)
        begun = Stopwatch()

        drained = pipe_commands(
            stack, listing, ("cancel", "-", "--actor", "ops-batch", "--reason", "incident 7")
        )

        took_s = begun.own_s
        assert (first.code, first.stdout, len(first.stdout.split())) == (0, again.stdout, QUEUED)
        assert (drained.code, drained.stderr) == (0, "")
        assert drained.stdout == "".join(f"{wid}\taccepted\n" for wid in first.stdout.split())
        assert stack.sys_sql.value(ACTIVE) == 0
        assert took_s < DRAINED_S
        for sql, table, word in ((stack.app_sql, "app.runs", "canceled"),
                                 (stack.sys_sql, "dbos.workflow_status", "CANCELLED")):  # fmt: skip
            assert sql.rows(COUNTS.format(table=table)) == [{"status": word, "n": QUEUED}]
        assert stack.app_sql.one(BATCH) == {"n": QUEUED, "runs": QUEUED}
        assert ops(stack, *listing).stdout == ""
        rows = stack.api.get(f"{WF}?limit=200").json()
        assert {row["status"] for row in rows} == {"CANCELLED"}


@pytest.mark.claim("S07.cancel-at-gate")
def test_ten_seconds_later_it_is_still_over(lab: Stack, gone: Gone) -> None:
    seen = set()

    def old() -> bool:
        seen.add(words(lab, gone.wid))
        return time.monotonic() > gone.at_s + LATER_S

    eventually(old, deadline_s=2 * LATER_S, every_s=0.25)

    assert seen == {CANCELED}
    assert lab.api.get(f"/api/runs/{gone.wid}").json()["status"] == "CANCELLED"
