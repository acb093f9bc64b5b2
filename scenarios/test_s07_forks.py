"""S07: a fork is a run of its own; what was done is on record once, for everything accepted."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from pytest_spec11.stacks import Stack, Stacks
from scenarios.support.contract import identity
from scenarios.support.contract.start_requests import reply, start
from scenarios.support.faults.holds import hold, meet
from scenarios.support.runs.operations import (
    COURSE,
    WF,
    act,
    act_accepted,
    audit,
    await_settled,
    fork_run,
    last_step,
    number_of,
    words,
)
from scenarios.support.runs.rows_of_run import of_run
from scenarios.support.runs.run_lifecycle import (
    END_S,
    answer_run,
    await_status,
    complete_run,
    park_run,
)

pytestmark = pytest.mark.S07

NAMES = ["CompileST", "ApplyPatchST", "DecideST", "ExecuteST"]
DONE = ("succeeded", "SUCCESS")
RUN = """
SELECT id, forked_from, execution_id, intent_id, recipe_hash, queue_partition_key
FROM app.runs WHERE workflow_id = %(w)s
"""
STEPS = "SELECT step_id, attempt FROM app.run_steps WHERE run_id = %(r)s ORDER BY started_at"
GATES = "SELECT gate_key, state FROM app.human_gates WHERE run_id = %(r)s"
FORK = "SELECT forked_from, queue_name FROM dbos.workflow_status WHERE workflow_uuid = %(w)s"


@pytest.mark.claim("S07.fork-own-run")
@pytest.mark.parametrize("name", ["MAXSTEP", "DecideST", "CompileST"])
def test_a_fork_of_a_finished_run_is_a_run_of_its_own(
    lab: Stack, unique_goal: str, name: str
) -> None:
    wid = complete_run(lab.api, unique_goal)["workflowID"]
    await_settled(lab, wid)
    step = last_step(lab.sys_sql, wid) if name == "MAXSTEP" else number_of(lab.sys_sql, wid, name)
    before = of_run(lab, wid)

    fork = fork_run(lab.api, wid, step)

    if name == "CompileST":
        await_status(lab.api, fork, {"WAITING_INPUT"}, deadline_s=END_S)
        answer_run(lab.api, fork)
    assert await_settled(lab, fork) == DONE
    own = lab.app_sql.one(RUN, w=fork)
    source = lab.app_sql.one(RUN, w=wid)
    assert own == {
        **source, "id": identity.run_id(fork), "forked_from": source["id"], "execution_id": fork,
    }  # fmt: skip
    steps = lab.app_sql.rows(STEPS, r=own["id"])
    assert [(row["step_id"], row["attempt"]) for row in steps] == [(each, 1) for each in NAMES]
    assert lab.sys_sql.one(FORK, w=fork) == {"forked_from": wid, "queue_name": "intentQ"}
    assert of_run(lab, wid, but=[fork]) == before
    assert {"app.runs", "app.run_steps", "app.artifacts", "app.sbx_runs", "app.human_gates",
            "app.human_interactions", "app.mock_receipts", "dbos.workflow_status",
            "dbos.operation_outputs", "dbos.workflow_events"} <= before.keys()  # fmt: skip
    assert lab.api.get(f"/api/runs/{wid}").json()["status"] == "SUCCESS"


@pytest.mark.claim("S07.fork-parked-run")
def test_a_fork_of_a_run_that_waits_has_a_gate_of_its_own(lab: Stack, unique_goal: str) -> None:
    wid = park_run(lab.api, unique_goal)["workflowID"]

    fork = fork_run(lab.api, wid, last_step(lab.sys_sql, wid))

    await_status(lab.api, fork, {"WAITING_INPUT"}, deadline_s=END_S)
    own, source = (lab.app_sql.one(GATES, r=identity.run_id(each)) for each in (fork, wid))
    assert own["gate_key"] != source["gate_key"]
    theirs = of_run(lab, wid, but=[fork])
    assert answer_run(lab.api, fork)["status"] == "SUCCESS"
    assert await_settled(lab, fork) == DONE
    assert words(lab, wid) == ("waiting_input", "PENDING")
    assert of_run(lab, wid, but=[fork]) == theirs
    cross = f"/api/runs/{wid}/gates/{own['gate_key']}/reply"
    assert lab.api.post(cross, json=reply(key="qa-2")).status == 404
    assert answer_run(lab.api, wid)["status"] == "SUCCESS"
    assert await_settled(lab, wid) == DONE
    assert lab.app_sql.one(GATES, r=identity.run_id(fork))["state"] == "RESOLVED"


@pytest.mark.claim("S07.audit-exactly-one")
def test_what_was_accepted_is_on_record_once_and_what_was_refused_is_not(
    lab: Stack, unique_goal: str
) -> None:
    wid = park_run(lab.api, unique_goal)["workflowID"]
    done: list[tuple[str, str, str, str | None]] = []

    def act_once(op: str, status: int, **more: Any) -> None:
        actor, reason = f"qa {len(done)}", f"{op} for {unique_goal}"[:250]
        answer = act(lab.api, wid, op, **{**more, "actor": actor, "reason": reason})
        assert answer.status == status
        if status == 202:
            done.append((op, actor, reason, answer.json().get("forkedWorkflowID")))

    act_once("resume", 409)
    act_once("fork", 202, stepN=1)
    act_once("fork", 409, stepN=999)
    act_once("fork", 202, stepN=1)
    act_once("cancel", 202)
    act_once("cancel", 409)
    act_once("resume", 202)
    act_once("resume", 409)
    act_once("cancel", 400, extra=1)
    act_once("cancel", 202)

    rows = audit(lab.app_sql, wid)
    assert [(row["op"], row["actor"], row["reason"], row["forked"]) for row in rows] == done
    assert [op for op, *_ in done] == ["fork", "fork", "cancel", "resume", "cancel"]
    assert {row["outcome"] for row in rows} == {"applied"}
    step = {"run_id": identity.run_id(wid), "step_id": "OPS"}
    assert lab.app_sql.rows(COURSE)[: len(done)] == [
        {**step, "op": op, "actor": actor, "reason": reason} for op, actor, reason, _ in done[::-1]
    ]
    feed = lab.api.get(f"{WF}/{wid}").json()["audit"]
    assert [(row["op"], row["actor"], row["reason"], row["forkedWorkflowID"]) for row in feed] == [
        *reversed(done)
    ]
    assert {row["targetWorkflowID"] for row in feed} == {wid}
    for _, _, _, fork in done:
        if fork:
            act_accepted(lab.api, fork, "cancel")


# For the engine's new sessions the clock stands still.
STOP_CLOCK = """
CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql IMMUTABLE AS
    $$ SELECT timestamptz '2026-01-02 03:04:05.678+00' $$;
ALTER ROLE spec11 IN DATABASE "{name}" SET search_path = public, pg_catalog
"""
RECORD = """
INSERT INTO dbos.operation_outputs (workflow_uuid, function_id, function_name, output)
VALUES (%(w)s, 1, 'CompileST', '{}')
"""
FORKS = 4


@pytest.mark.claim("S07.audit-exactly-one")
def test_forks_in_one_millisecond_are_as_many_as_were_made(
    stacks: Stacks, unique_goal: str
) -> None:
    with stacks.start(only=()) as stack:
        name = stack.app_sql.value("SELECT current_database()")
        stack.admin.execute(STOP_CLOCK.format(name=name))
        stack.process("api").start()
        wid = stack.api.post("/api/run", json=start(unique_goal)).json()["workflowID"]
        stack.admin.execute(RECORD, w=wid)

        forks = [fork_run(stack.api, wid, 1) for _ in range(FORKS)]

        feed = stack.api.get(f"{WF}/{wid}").json()["audit"]
        assert {row["at"] for row in feed} == {"2026-01-02T03:04:05.678000+00:00"}
        assert len({*forks}) == FORKS
        assert [row["forked"] for row in audit(stack.app_sql, wid)] == forks
        assert [row["forkedWorkflowID"] for row in feed] == [*reversed(forks)]
        made = stack.app_sql.rows("SELECT workflow_id FROM app.runs WHERE forked_from IS NOT NULL")
        assert {row["workflow_id"] for row in made} == {*forks}


CROWD, KEY = 12, 727


@pytest.mark.claim("S07.audit-exactly-one")
def test_a_crowd_of_forks_is_on_record_one_by_one(lab: Stack, unique_goal: str) -> None:
    wid = park_run(lab.api, unique_goal)["workflowID"]
    doors = [lab.api, lab.api_at("twin")] * (CROWD // 2)

    audited = f"NEW.step_id = 'OPS' AND NEW.run_id = '{identity.run_id(wid)}'"
    asks = [partial(act, door, wid, "fork", stepN=1) for door in doors]

    with hold(lab, KEY, "BEFORE INSERT ON app.artifacts", audited) as record:
        crowd = meet(record, asks, led_by=2)
    answers = crowd.replies()

    assert {answer.status for answer in answers} == {202}
    forks = [answer.json()["forkedWorkflowID"] for answer in answers]
    assert len({*forks}) == CROWD
    assert sorted(row["forked"] for row in audit(lab.app_sql, wid)) == sorted(forks)
    for each in forks:
        act_accepted(lab.api, each, "cancel")
