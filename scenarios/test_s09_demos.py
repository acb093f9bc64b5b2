"""S09: marks around a durable sleep, and ticks of a schedule, in a log that could show a double."""

from __future__ import annotations

import signal
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from pytest_spec11.stacks import Stack, Stacks
from pytest_spec11.target import Target
from pytest_spec11.waiting import eventually

pytestmark = pytest.mark.S09

SLEEP_S = 2.0
SLEEPS = {"WF_SLEEP_MS": str(int(SLEEP_S * 1000))}
TICK_S = 2
BACK_S = 30.0
SUCCEEDED = (
    "SELECT status = 'SUCCESS' AS done FROM dbos.workflow_status WHERE workflow_uuid = %(w)s"
)
MARKS = "SELECT mark, at FROM app.marks WHERE workflow_id = %(w)s ORDER BY id"
KEYS_OF_MARKS = (
    "SELECT i.indexrelid::regclass::text AS name, a.attname AS column_name FROM pg_index i"
    " JOIN pg_attribute a ON a.attrelid = i.indexrelid"
    " WHERE i.indrelid = 'app.marks'::regclass AND i.indisunique"
)
TICKS = "SELECT mark FROM app.marks WHERE mark LIKE 'tick%%' ORDER BY mark"
TICKERS = "SELECT executor_id, status FROM dbos.workflow_status WHERE name = 'Tick'"
RUNS = "SELECT count(*) FROM app.runs"


@pytest.mark.claim("S09.crashdemo")
def test_a_worker_killed_between_two_marks_leaves_each_of_them_once(stacks: Stacks) -> None:
    with stacks.start(env=SLEEPS) as stack:
        wait_for_first_mark(stack)
        assert stack.process("worker").kill() == -signal.SIGKILL
        assert marks(stack) == {"s1": 1, "s2": 0}
        stack.process("worker").start()
        wait_for_second_mark(stack)
        keys = stack.app_sql.rows(KEYS_OF_MARKS)
        assert [key["column_name"] for key in keys] == ["id"]  # nothing else keeps a double out
        assert [row["mark"] for row in stack.app_sql.rows(MARKS, w="demo")] == ["s1", "s2"]


@pytest.mark.claim("S09.durable-clock")
def test_a_durable_sleep_lasts_over_two_kills(stacks: Stacks) -> None:
    with stacks.start(env=SLEEPS) as stack:
        wait_for_first_mark(stack)
        for _ in range(2):
            assert stack.process("worker").kill() == -signal.SIGKILL
            stack.process("worker").start()
        wait_for_second_mark(stack)
        first, second = stack.app_sql.rows(MARKS, w="demo")
        assert second["at"] - first["at"] >= timedelta(seconds=SLEEP_S)


def wait_for_first_mark(stack: Stack) -> None:
    """The demo has left its first mark."""
    accepted = stack.api.post("/crashdemo?wf=demo")
    assert (accepted.status, accepted.json()["workflowId"]) == (202, "demo")
    eventually(lambda: marks(stack), deadline_s=BACK_S, until={"s1": 1, "s2": 0}.__eq__)


def wait_for_second_mark(stack: Stack) -> None:
    """The demo has left its second mark, and nothing twice."""
    eventually(lambda: marks(stack)["s2"], deadline_s=BACK_S)
    eventually(lambda: stack.sys_sql.value(SUCCEEDED, w="demo"), deadline_s=BACK_S)
    assert marks(stack) == {"s1": 1, "s2": 1}


@pytest.mark.claim("S09.durable-clock")
def test_two_workers_on_one_schedule_tick_once_an_interval_and_catch_up(
    stacks: Stacks, spec11_target: Target
) -> None:
    other = spec11_target.process("worker").using({"DBOS__VMID": "w-other"})
    with stacks.start(
        env={"SPEC11_TICK_S": str(TICK_S)}, extra={"other": other}, only=("api", "worker")
    ) as stack:
        eventually(lambda: count_ticks(stack) >= 2, deadline_s=BACK_S)
        assert stack.process("worker").kill() == -signal.SIGKILL
        before = count_ticks(stack)
        eventually(lambda: count_ticks(stack) >= before + 2, deadline_s=BACK_S)
        assert stack.process("other").kill() == -signal.SIGKILL
        gone = count_ticks(stack)
        stack.process("worker").start()
        stack.process("other").start()
        eventually(lambda: count_ticks(stack) >= gone + 3, deadline_s=BACK_S)

        times = [
            datetime.fromisoformat(row["mark"].removeprefix("tick "))
            for row in stack.app_sql.rows(TICKS)
        ]
        assert {later - sooner for sooner, later in pairwise(times)} == {timedelta(seconds=TICK_S)}
        assert stack.app_sql.value(RUNS) == 0
        tickers = eventually(  # the newest may lie there unclaimed for a moment
            lambda: stack.sys_sql.rows(TICKERS),
            deadline_s=BACK_S,
            until=lambda rows: all(row["executor_id"] for row in rows),
        )
        assert {row["executor_id"] for row in tickers} <= {"w0", "w-other"}


def marks(stack: Stack) -> dict[str, Any]:
    counts: dict[str, Any] = stack.api.get("/marks?wf=demo").json()
    return counts


def count_ticks(stack: Stack) -> int:
    """How many ticks there are."""
    return len(stack.app_sql.rows(TICKS))
