"""S10: what the queues let start, when, of whom and in which order; all of it read from SQL."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from pytest_spec11.fixtures import Provokes
from pytest_spec11.oracles.sql import Row
from pytest_spec11.stacks import Stack, Stacks
from pytest_spec11.waiting import Stopwatch, eventually
from scenarios.support.contract.commands import engine
from scenarios.support.contract.headers import TERMINAL
from scenarios.support.contract.start_requests import PARTITION
from scenarios.support.crowds.backlog_log import Backlogs
from scenarios.support.runs.gates import start_run, variant
from scenarios.support.runs.operations import act_accepted
from scenarios.support.runs.queues import (
    answer_at_once,
    answers,
    await_finished,
    backlog,
    flood_runs,
    measure_start,
    most_at_once,
    overtook,
    runs,
    start_runs,
    tasks,
    waiting,
    work,
    working,
)
from scenarios.support.runs.run_lifecycle import (
    END_S,
    PARK_S,
    answer_run,
    await_status,
    complete_run,
    park_run,
)

pytestmark = pytest.mark.S10

NAMES = ["compileQ", "controlQ", "intentQ", "sbxQ"]
CONFIGURED = {
    "INTENT_QUEUE_WORKER_CONCURRENCY": "12",
    "INTENT_QUEUE_PARTITION_WORKER_CONCURRENCY": "3",
    "SBX_QUEUE_WORKER_CONCURRENCY": "9",
    "SBX_QUEUE_CONCURRENCY": "7",
    "SBX_QUEUE_RATE_LIMIT_PER_PERIOD": "500",
    "SBX_QUEUE_PARTITION_RATE_LIMIT_PER_PERIOD": "400",
    "SBX_QUEUE_RATE_LIMIT_PERIOD_SEC": "2",
}
REGISTERED = """
SELECT name, worker_concurrency AS slots, partition_worker_concurrency AS "slotsOfOne",
       concurrency AS everywhere, partition_concurrency AS "ofOneEverywhere",
       rate_limit_max || '/' || rate_limit_period_sec || 's' AS rate,
       partition_rate_limit_max || '/' || partition_rate_limit_period_sec || 's' AS "rateOfOne"
FROM dbos.queues ORDER BY name
"""
FAMILY = """
SELECT name, queue_name, queue_partition_key FROM dbos.workflow_status
WHERE workflow_uuid LIKE '%%' || %(w)s || '%%' OR parent_workflow_id = %(w)s
"""


@pytest.fixture(scope="module")
def office(stacks: Stacks) -> Iterator[Stack]:
    """A private stack to which each test brings workers with limits of their own."""
    with stacks.start(only=("api",)) as stack:
        yield stack


@pytest.mark.claim("S10.queues-by-kind")
def test_there_are_four_queues_and_each_has_the_limits_it_was_configured_with(
    office: Stack,
) -> None:
    told = engine(office, "queues", "--json", env=CONFIGURED)
    with working(office, "w0", **CONFIGURED):
        registered = office.sys_sql.rows(REGISTERED)

    assert told.code == 0
    assert [row["name"] for row in registered] == NAMES
    assert registered == json.loads(told.stdout)
    limited = {row["name"]: tuple(row.values())[1:] for row in registered}
    assert limited == {
        "compileQ": (None,) * 6,
        "controlQ": (None,) * 6,
        "intentQ": (12, 3, None, None, None, None),
        "sbxQ": (7, 6, 7, None, "500/2s", "400/2s"),
    }


@pytest.mark.claim("S10.queues-by-kind")
def test_each_kind_of_work_lies_in_the_queue_of_its_kind(
    office: Stack, provokes: Provokes, unique_goal: str
) -> None:
    hasty = variant(office, f"hasty {unique_goal}", planApprovalTimeoutS=1)
    with working(office, "w0"):
        whole = complete_run(office.api, unique_goal)["workflowID"]
        silent = start_run(office.api, f"{unique_goal} silent", hasty)
        provokes(silent, "nobody answers on purpose")
        await_status(office.api, silent, TERMINAL, deadline_s=END_S)
        refused = park_run(office.api, f"{unique_goal} refused")["workflowID"]
        provokes(refused, "a plan is rejected on purpose")
        answer_run(office.api, refused, "no")
        repaired = office.api.request("POST", f"/api/runs/{refused}/retry")
        patched = start_run(office.api, f"{unique_goal} patched", topic="a patch")
        await_status(office.api, patched, {"WAITING_INPUT"}, deadline_s=PARK_S)
        act_accepted(office.api, patched, "cancel")

    assert repaired.status == 202
    place = PARTITION
    assert _places(office, whole) == {
        ("RunIntent", "intentQ", place), ("RunTask", "sbxQ", place),
    }  # fmt: skip
    assert _places(office, silent) == {
        ("RunIntent", "intentQ", place), ("EscalateTimeout", "controlQ", None),
    }  # fmt: skip
    assert _places(office, refused) == {
        ("RunIntent", "intentQ", place), ("RepairIntent", "controlQ", None),
    }  # fmt: skip
    assert ("Compensate", "controlQ", None) in _places(office, patched)


def _places(stack: Stack, wid: str) -> set[tuple[Any, ...]]:
    return {tuple(row.values()) for row in stack.sys_sql.rows(FAMILY, w=wid)}


@pytest.mark.claim("S10.rate-window")
def test_no_five_seconds_see_more_than_two_tasks_start_whoever_has_them(
    office: Stack, unique_goal: str
) -> None:
    limits = {"SBX_QUEUE_RATE_LIMIT_PER_PERIOD": "2", "SBX_QUEUE_RATE_LIMIT_PERIOD_SEC": "5"}
    with working(office, "w0", **limits):
        five = start_runs(office, [unique_goal], topic="a plan of 5")
        wids = five + start_runs(
            office, [f"{unique_goal} 1"], topic="a plan of 1", tenant="another"
        )
        waiting(office, wids)
        assert answers(office, wids) == [200, 200]
        await_finished(office, wids)

    seen = tasks(office.sys_sql, wids)
    began = [row["began"] for row in seen]
    assert (len(began), {row["queue"] for row in seen}) == (6, {"sbxQ"})
    assert {row["tenant"] for row in seen} == {PARTITION, "another"}
    apart = [third - first for first, third in zip(began[:-2], began[2:], strict=True)]
    assert [each for each in apart if each < 5000] == []
    assert apart[0] >= 4500


@pytest.mark.claim("S10.slot-cap")
def test_a_worker_with_one_slot_runs_one_task_at_a_time(office: Stack, unique_goal: str) -> None:
    limits = {"SBX_QUEUE_WORKER_CONCURRENCY": "1", "CHAOS_SLEEP_EXECUTE": "1200"}
    with working(office, "w0", **limits):
        wids = start_runs(office, [unique_goal], topic="a plan of 5")
        waiting(office, wids)
        assert answers(office, wids) == [200]
        await_finished(office, wids)

    seen = tasks(office.sys_sql, wids)
    assert len(seen) == 5
    assert all(row["ended"] - row["began"] >= 1200 for row in seen)
    assert most_at_once(seen) == 1
    assert all(later["began"] - row["began"] > 900 for row, later in pairwise(seen))


@pytest.mark.claim("S10.global-and-partition-limits")
def test_two_workers_together_keep_the_limit_of_all_and_that_of_each_tenant(
    office: Stack, unique_goal: str
) -> None:
    limits = {
        "SBX_QUEUE_CONCURRENCY": "6",
        "SBX_QUEUE_PARTITION_CONCURRENCY": "2",
        "CHAOS_SLEEP_EXECUTE": "1200",
    }
    tenants = [f"tenant-{number}" for number in range(4)]
    with working(office, "w0", "w1", **limits):
        wids = [
            wid
            for tenant in tenants
            for goal in (f"{unique_goal} {tenant} 1", f"{unique_goal} {tenant} 2")
            for wid in start_runs(office, [goal], topic="a plan of 5", tenant=tenant)
        ]
        waiting(office, wids)
        assert answer_at_once(office, wids) == [200] * 8
        await_finished(office, wids)

    seen = work(office.sys_sql, wids)
    of_each = {tenant: [row for row in seen if row["tenant"] == tenant] for tenant in tenants}
    assert {tenant: len(rows) for tenant, rows in of_each.items()} == dict.fromkeys(tenants, 10)
    assert {row["by"] for row in seen} == {"w0", "w1"}
    assert most_at_once(seen) == 6
    assert {tenant: most_at_once(rows) for tenant, rows in of_each.items()} == (
        dict.fromkeys(tenants, 2)
    )


@pytest.mark.claim("S10.starvation-bounded")
def test_a_tenant_that_floods_holds_up_no_other(
    stacks: Stacks, unique_goal: str, backlogs: Backlogs
) -> None:
    met_at = {}
    stretch = 1.0
    for flood in (10, 300):
        with stacks.start(only=("api",)) as stack:
            mine = flood_runs(stack, [f"{unique_goal} {n}" for n in range(flood)], "tenant-a")
            with working(stack, "w0"):
                watch = Stopwatch()
                met_at[flood] = measure_start(stack, unique_goal, "tenant-b")
                stretch = max(stretch, watch.stretch)
                backlogs.record_backlog("a", met_at[flood])
                if flood == 300:
                    assert met_at[flood].backlog >= flood // 2
                waiting(stack, mine)
                waited = {row["tenant"] for row in runs(stack.sys_sql, mine)}
                assert (waited, backlog(stack, "tenant-a")) == ({"tenant-a"}, 0)

    assert met_at[300].start_ms <= 5000 * stretch
    assert met_at[300].start_ms <= met_at[10].start_ms + 2000 * stretch
    assert met_at[300].parked_ms <= PARK_S * 1000 * stretch


@pytest.mark.claim("S10.priority-strict")
def test_with_one_slot_runs_begin_by_priority_and_then_in_the_order_they_came(
    office: Stack, unique_goal: str
) -> None:
    batch = [*start_runs(office, [f"{unique_goal} batch {n}" for n in range(3)], lane="batch")]
    (interactive,) = start_runs(office, [f"{unique_goal} interactive"], lane="interactive")
    (late,) = start_runs(office, [f"{unique_goal} late"], lane="interactive", priority=2000)
    (early,) = start_runs(office, [f"{unique_goal} early"], lane="batch", priority=500)
    (second,) = start_runs(office, [f"{unique_goal} second"], lane="interactive")
    wids = [interactive, second, early, *batch, late]

    with working(office, "w0", INTENT_QUEUE_WORKER_CONCURRENCY="1"):
        waiting(office, wids)

    seen = runs(office.sys_sql, wids)
    assert [row["id"] for row in seen] == wids
    assert [row["priority"] for row in seen] == [1, 1, 500, 1000, 1000, 1000, 2000]
    assert all(row["began"] < later["began"] for row, later in pairwise(seen))


@pytest.mark.claim("S10.priority-strict")
def test_with_one_slot_a_task_of_the_interactive_lane_overtakes_those_of_the_batch_lane(
    office: Stack, unique_goal: str
) -> None:
    limits = {"SBX_QUEUE_WORKER_CONCURRENCY": "1", "CHAOS_SLEEP_EXECUTE": "400"}
    with working(office, "w0", **limits):
        batch = start_runs(office, [f"{unique_goal} {n}" for n in range(3)], lane="batch")
        fast = start_runs(office, [f"{unique_goal} fast"], lane="interactive")
        waiting(office, batch + fast)
        assert answers(office, batch) == [200, 200, 200]
        eventually(lambda: len(tasks(office.sys_sql, batch)) == 3, deadline_s=END_S)
        assert answers(office, fast) == [200]
        await_finished(office, batch + fast)

    (first,) = tasks(office.sys_sql, fast)
    others = tasks(office.sys_sql, batch)
    assert (first["priority"], [row["priority"] for row in others]) == (1, [1000] * 3)
    passed, not_passed = overtook(first, others)
    assert (len(passed) >= 1, not_passed) == (True, [])
    assert _order(others, "created") == _order(others, "began")


def _order(rows: list[Row], column: str) -> list[str]:
    return [row["id"] for row in sorted(rows, key=lambda row: int(row[column]))]
