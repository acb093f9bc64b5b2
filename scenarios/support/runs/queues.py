"""What lies in the durable engine's queues, when each of it began and ended, and who works."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from pytest_spec11.oracles.sql import Row, Sql
from pytest_spec11.stacks import Stack
from pytest_spec11.waiting import eventually
from scenarios.support.contract.start_requests import PARTITION, start
from scenarios.support.crowds.backlog_log import Met
from scenarios.support.runs.gates import approval

DOORS = 8  # starts under way at once
HANDS = 24  # gates answered at once
PARTS = """
SELECT workflow_uuid AS id, queue_name AS queue, queue_partition_key AS tenant, priority,
       executor_id AS by, created_at AS created, started_at_epoch_ms AS began, completed_at AS ended
FROM dbos.workflow_status
WHERE {column} = ANY(%(ids)s) ORDER BY started_at_epoch_ms, created_at
"""
RUNS = PARTS.format(column="workflow_uuid")
TASKS = PARTS.format(column="parent_workflow_id")
# A claim is stamped with the moment at which its transaction began, so that it may seem to come
# before the end that made room for it; the work itself is stamped as it is done.
WORK = """
SELECT w.queue_partition_key AS tenant, w.executor_id AS by, o.started_at_epoch_ms AS began,
       o.completed_at_epoch_ms AS ended
FROM dbos.workflow_status w JOIN dbos.operation_outputs o USING (workflow_uuid)
WHERE w.parent_workflow_id = ANY(%(ids)s) AND o.function_name = 'executeTask'
"""
ASKED = "SELECT count(*) FROM app.human_gates WHERE workflow_id = ANY(%(ids)s)"
ENDED = "SELECT count(*) FROM app.runs WHERE workflow_id = ANY(%(ids)s) AND status = 'succeeded'"
QUEUED = """
SELECT count(*) FROM dbos.workflow_status
WHERE queue_name = 'intentQ' AND status = 'ENQUEUED' AND queue_partition_key <> %(tenant)s
"""
BEGUN = "SELECT count(*) FROM dbos.workflow_status WHERE started_at_epoch_ms IS NOT NULL"
PARKED = """
SELECT floor(extract(epoch FROM g.created_at - r.created_at) * 1000)::int AS ms
FROM app.human_gates g JOIN app.runs r ON r.id = g.run_id WHERE r.workflow_id = %(w)s
"""


@contextmanager
def working(stack: Stack, *names: str, **limits: str) -> Iterator[None]:
    """While the block runs, a worker of each executor id works under these limits."""
    with ExitStack() as stops:
        for name in names:
            process = stack.fill_process("worker").using({"DBOS__VMID": name, **limits}, name=name)
            stops.callback(stack.begin(process).stop)
        yield


def start_runs(
    stack: Stack,
    goals: Iterable[str],
    *,
    topic: str = "alpha",
    tenant: str = PARTITION,
    **opts: Any,
) -> list[str]:
    """The workflow ids of runs started one after the other."""
    opts["queuePartitionKey"] = tenant
    return [_start_run(stack, start(goal, form={"topic": topic}, **opts)) for goal in goals]


def flood_runs(stack: Stack, goals: Iterable[str], tenant: str) -> list[str]:
    """The same, of one tenant, several at once."""
    bodies = [start(goal, queuePartitionKey=tenant) for goal in goals]
    with ThreadPoolExecutor(DOORS) as pool:
        return list(pool.map(partial(_start_run, stack), bodies))


def _start_run(stack: Stack, body: dict[str, Any]) -> str:
    wid: str = stack.api.post("/api/run", json=body).json()["workflowID"]
    return wid


def measure_start(stack: Stack, goal: str, tenant: str) -> Met:
    """What a start of ``tenant`` meets, once the workers are at the runs of others."""
    eventually(lambda: stack.sys_sql.value(BEGUN) > 0, deadline_s=30)
    queued = backlog(stack, tenant)
    (wid,) = start_runs(stack, [goal], tenant=tenant)
    waiting(stack, [wid])
    (row,) = runs(stack.sys_sql, [wid])
    return Met(queued, row["began"] - row["created"], stack.app_sql.value(PARKED, w=wid))


def backlog(stack: Stack, tenant: str) -> int:
    """How many runs lie in the queue that are not of ``tenant``."""
    return int(stack.sys_sql.value(QUEUED, tenant=tenant))


def waiting(stack: Stack, wids: Sequence[str], deadline_s: float = 60) -> None:
    """All of the runs have come to where they wait for a person."""
    eventually(
        lambda: stack.app_sql.value(ASKED, ids=list(wids)) == len(wids), deadline_s=deadline_s
    )


def answers(stack: Stack, wids: Iterable[str]) -> list[int]:
    """The statuses of a yes to each of the runs, one after the other."""
    return [_yes(stack, wid) for wid in wids]


def answer_at_once(stack: Stack, wids: Iterable[str]) -> list[int]:
    """The same, many at once."""
    with ThreadPoolExecutor(HANDS) as pool:
        return list(pool.map(partial(_yes, stack), wids))


def _yes(stack: Stack, wid: str) -> int:
    return approval(wid).choose(stack.api).status


def await_finished(stack: Stack, wids: Sequence[str], deadline_s: float = 60) -> None:
    """All of the runs have succeeded."""
    eventually(
        lambda: stack.app_sql.value(ENDED, ids=list(wids)) == len(wids), deadline_s=deadline_s
    )


def runs(sys_sql: Sql, wids: Iterable[str]) -> list[Row]:
    """The runs in the order in which they began."""
    return sys_sql.rows(RUNS, ids=list(wids))


def tasks(sys_sql: Sql, wids: Iterable[str]) -> list[Row]:
    """The tasks of the runs in the order in which they began."""
    return sys_sql.rows(TASKS, ids=list(wids))


def work(sys_sql: Sql, wids: Iterable[str]) -> list[Row]:
    """When each task of the runs was at work."""
    return sys_sql.rows(WORK, ids=list(wids))


def most_at_once(rows: Iterable[Row]) -> int:
    """How many of them were under way together at most; whatever ends makes room first."""
    moves = sorted(move for row in rows for move in ((row["began"], 1), (row["ended"], -1)))
    under_way = most = 0
    for _, step in moves:
        under_way += step
        most = max(most, under_way)
    return most


def overtook(row: Row, rows: Iterable[Row]) -> tuple[list[str], list[str]]:
    """Of those that lay in the queue when ``row`` came: what began after it, and what before."""
    lay = [each for each in rows if each["created"] <= row["created"] < each["began"]]
    after = [each["id"] for each in lay if each["began"] > row["began"]]
    return after, [each["id"] for each in lay if each["id"] not in after]
