"""S07: a run ends after all of its tasks, whatever ends it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pytest_spec11.fixtures import Provokes
from pytest_spec11.stacks import Stack
from pytest_spec11.waiting import eventually
from scenarios.support.contract import identity
from scenarios.support.contract.start_requests import start
from scenarios.support.faults.holds import hold
from scenarios.support.runs.budgets import budget, violation
from scenarios.support.runs.gates import approval
from scenarios.support.runs.operations import act_accepted, await_settled, words
from scenarios.support.runs.run_lifecycle import END_S, PARK_S, await_status, complete_run
from scenarios.support.runs.workshop import Workshop

pytestmark = pytest.mark.S07

KEY = 707
ENDING = "BEFORE UPDATE OF status ON dbos.workflow_status"
CASES = [f"run-test case-0{n}" for n in range(1, 6)]
# A task that cannot be recorded has failed, and says of which command.
BREAK = """
CREATE FUNCTION public.broken_task() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'no ledger for %', NEW.request ->> 'cmd'; END $$;
CREATE TRIGGER broken_task BEFORE INSERT ON app.sbx_runs FOR EACH ROW
    WHEN (NEW.run_id = '{r}' AND NEW.request ->> 'cmd' IN ('run-test case-02', 'run-test case-04'))
    EXECUTE FUNCTION public.broken_task()
"""
MEND = "DROP FUNCTION public.broken_task CASCADE"
TASKS = """
SELECT i.inputs::json -> 'positionalArgs' ->> 2 AS cmd, w.status, w.completed_at
FROM dbos.workflow_status w JOIN dbos.workflow_input i USING (workflow_uuid)
WHERE w.parent_workflow_id = %(w)s
"""
LAST_WORD = """
SELECT floor(extract(epoch FROM max(at)) * 1000)::bigint AS ms FROM app.status_history
WHERE run_id = %(r)s
"""
RECORDED = """
SELECT request ->> 'cmd' AS cmd FROM app.sbx_runs WHERE run_id = %(r)s ORDER BY 1
"""
FAILED = ("retries_exceeded", "ERROR")
CANCELED = ("canceled", "CANCELLED")


def ask(stack: Stack, goal: str) -> str:
    """The workflow id of a run of five tasks that waits for a yes."""
    body = start(goal, form={"topic": "a plan of 5"})
    wid: str = stack.api.post("/api/run", json=body).json()["workflowID"]
    await_status(stack.api, wid, {"WAITING_INPUT"}, deadline_s=PARK_S)
    return wid


def read_tasks(stack: Stack, wid: str) -> dict[str, str]:
    """The status of each task of the run, by its command."""
    return {row["cmd"]: row["status"] for row in stack.sys_sql.rows(TASKS, w=wid)}


def require_order(stack: Stack, wid: str) -> None:
    """No task of the run ended after the run's last word."""
    last_ms = stack.app_sql.value(LAST_WORD, r=identity.run_id(wid))
    rows = stack.sys_sql.rows(TASKS, w=wid)
    assert rows != []
    assert [row for row in rows if row["completed_at"] > last_ms] == []


@contextmanager
def break_tasks(stack: Stack, wid: str) -> Iterator[None]:
    """The second and the fourth task of the run fail."""
    stack.admin.execute(BREAK.format(r=identity.run_id(wid)))
    try:
        yield
    finally:
        stack.admin.execute(MEND)


def ends_as_task(wid: str, cmd: str) -> str:
    """The condition that the durable engine is to write how that task of the run ended."""
    return f"""
    NEW.parent_workflow_id = '{wid}' AND NEW.status IN ('SUCCESS', 'ERROR') AND EXISTS (
        SELECT FROM dbos.workflow_input i WHERE i.workflow_uuid = NEW.workflow_uuid
        AND i.inputs::json -> 'positionalArgs' ->> 2 = '{cmd}')
    """


@pytest.mark.claim("S07.ends-after-tasks")
@pytest.mark.parametrize("late", ["run-test case-05", "run-test case-02"])
def test_a_run_fails_when_all_of_its_tasks_have_ended(
    lab: Stack, provokes: Provokes, unique_goal: str, late: str
) -> None:
    wid = ask(lab, unique_goal)
    provokes(wid, "two of its tasks fail on purpose")
    ends = dict.fromkeys(CASES, "SUCCESS") | dict.fromkeys((CASES[1], CASES[3]), "ERROR")

    with break_tasks(lab, wid), hold(lab, KEY, ENDING, ends_as_task(wid, late)) as end:
        approval(wid).choose(lab.api)
        end.await_statements(1)
        eventually(lambda: read_tasks(lab, wid) == {**ends, late: "PENDING"}, deadline_s=END_S)
        complete_run(lab.api, f"{unique_goal}, which passes by")
        assert words(lab, wid) == ("running", "PENDING")

    assert await_settled(lab, wid) == FAILED
    assert "no ledger for run-test case-02" in failure(lab, wid)
    assert read_tasks(lab, wid) == ends
    require_order(lab, wid)


def failure(stack: Stack, wid: str) -> str:
    """What the run says that it failed of."""
    return str(stack.api.get(f"/api/runs/{wid}").json()["error"]["message"])


@pytest.mark.claim("S07.ends-after-tasks")
def test_a_run_goes_too_far_when_all_of_its_tasks_have_ended(
    shop: Workshop, provokes: Provokes
) -> None:
    stack, tests = shop.stack, ["a minutes=9", *(f"{n} minutes=1" for n in range(12))]
    begun = [f"run-test {test}" for test in tests[:8]]  # as many as there are minutes
    shop.set_build("too far", "run-test", *tests)
    wid = shop.park_run("too far", budget=budget(maxSBXMinutes=8))
    provokes(wid, "its first task takes more minutes than its budget allows")
    ends = dict.fromkeys(begun, "SUCCESS")

    with hold(stack, KEY, ENDING, ends_as_task(wid, begun[-1])) as end:
        shop.answer(wid, "yes")
        end.await_statements(1)
        eventually(
            lambda: read_tasks(stack, wid) == {**ends, begun[-1]: "PENDING"}, deadline_s=END_S
        )
        complete_run(stack.api, "which passes by")
        assert words(stack, wid) == ("running", "PENDING")

    assert await_settled(stack, wid) == FAILED
    assert failure(stack, wid) == violation(stack, wid)["inline"]["reason"]
    assert read_tasks(stack, wid) == ends
    require_order(stack, wid)


@pytest.mark.claim("S07.ends-after-tasks")
def test_a_canceled_run_takes_its_tasks_along(lab: Stack, unique_goal: str) -> None:
    wid = ask(lab, unique_goal)
    run, late = identity.run_id(wid), CASES[-1]
    ends = dict.fromkeys(CASES[:-1], "SUCCESS") | {late: "CANCELLED"}
    condition = f"NEW.run_id = '{run}' AND NEW.request ->> 'cmd' = '{late}'"

    with hold(lab, KEY, "BEFORE INSERT ON app.sbx_runs", condition) as record:
        approval(wid).choose(lab.api)
        record.await_statements(1)
        eventually(lambda: read_tasks(lab, wid) == {**ends, late: "PENDING"}, deadline_s=END_S)
        act_accepted(lab.api, wid, "cancel")
        assert (words(lab, wid), read_tasks(lab, wid)) == (CANCELED, ends)

    # What was under way when the run was canceled is on record, and changes nothing more.
    eventually(
        lambda: [row["cmd"] for row in lab.app_sql.rows(RECORDED, r=run)] == CASES, deadline_s=END_S
    )
    complete_run(lab.api, f"{unique_goal}, which passes by")
    assert (words(lab, wid), read_tasks(lab, wid)) == (CANCELED, ends)
