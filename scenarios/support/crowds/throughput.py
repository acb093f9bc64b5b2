"""The expected answer of the throughput route, computed from single rows by our own code."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

from pytest_spec11.oracles.http import Api
from pytest_spec11.oracles.sql import Row, Sql
from pytest_spec11.stacks import Stack

URL = "/api/ops/throughput"
WORKFLOWS = """
SELECT queue_name AS queue, queue_partition_key AS tenant, priority, status, created_at AS created,
       started_at_epoch_ms - created_at AS waited
FROM dbos.workflow_status
WHERE queue_name IS NOT NULL
  AND (created_at > %(since)s OR status IN ('ENQUEUED', 'DELAYED', 'PENDING'))
"""
ATTEMPTS = """
SELECT b.template_key AS key, b.template_id AS template, (s.metrics ->> 'wallMs')::int AS exec_ms,
       (extract(epoch FROM s.created_at - b.selected_at) * 1000)::float8 AS taken_ms
FROM app.sbx_selections b JOIN app.sbx_runs s USING (run_id, task_key, attempt)
"""
BUDGETS = """
SELECT run_id, uri, inline, floor(extract(epoch FROM created_at) * 1000)::bigint AS ts
FROM app.artifacts WHERE step_id = 'BUDGET' ORDER BY created_at DESC
"""
AGAIN = {
    "app.v_ops_queue_fairness": """
SELECT workflow_count FROM app.v_ops_queue_fairness
WHERE queue_name = %(q)s AND coalesce(partition_key, '') = %(one)s AND status = %(s)s
""",
    "app.v_ops_queue_priority": """
SELECT workflow_count FROM app.v_ops_queue_priority
WHERE queue_name = %(q)s AND priority::text = %(one)s AND status = %(s)s
""",
}
NOW = "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
HOUR_MS = 3_600_000
PLAIN = ("source", "provenance", "rawRef")


def read_throughput(api: Api) -> dict[str, list[dict[str, Any]]]:
    """The route's present answer."""
    found: dict[str, list[dict[str, Any]]] = api.get(URL).json()
    return found


def bare(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows without their sources."""
    return [{name: value for name, value in row.items() if name not in PLAIN} for row in rows]


def recent(sys_sql: Sql) -> list[Row]:
    """Every workflow of the last hour, and every live one."""
    return sys_sql.rows(WORKFLOWS, since=sys_sql.value(NOW) - HOUR_MS)


def fairness(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """The rows of the partitions."""
    return [
        {
            "queueName": queue, "partitionKey": tenant or None, "status": status,
            "workflowCount": len(group), "startedCount": len(_waits(group)),
            "maxLatencyMs": max(_waits(group), default=None),
            "oldestCreatedAt": min(row["created"] for row in group),
            "newestCreatedAt": max(row["created"] for row in group),
        }
        for (queue, tenant, status), group in _group_rows(rows, "queue", "tenant", "status")
    ]  # fmt: skip


def priority(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """The rows of the priorities, with the wait in the queue."""
    return [
        {
            "queueName": queue, "priority": level, "status": status,
            "workflowCount": len(group), "startedCount": len(_waits(group)),
            "avgLatencyMs": _mean(_waits(group)), "p95LatencyMs": _p95(_waits(group)),
            "maxLatencyMs": max(_waits(group), default=None),
        }
        for (queue, level, status), group in _group_rows(rows, "queue", "priority", "status")
    ]  # fmt: skip


def templates(app_sql: Sql) -> dict[tuple[str, str | None], tuple[int, float, float]]:
    """By template: attempts, and mean milliseconds outside and inside the command."""
    return {
        (key, template): (
            len(group),
            sum(max(0.0, row["taken_ms"] - row["exec_ms"]) for row in group) / len(group),
            sum(row["exec_ms"] for row in group) / len(group),
        )
        for (key, template), group in _group_rows(app_sql.rows(ATTEMPTS), "key", "template")
    }


def again(stack: Stack, row: Mapping[str, Any]) -> Any:
    """The count of workflows at the place that a queue row names as its source."""
    relation, _, names = str(row["rawRef"]).removeprefix("sql:").partition("#")
    queue, one, status = (unquote(name) for name in names.split("/"))
    return stack.sys_sql.value(AGAIN[relation], q=queue, s=status, one=one)


def _group_rows(rows: Iterable[Row], *columns: str) -> list[tuple[tuple[Any, ...], list[Row]]]:
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        groups[tuple(row[name] for name in columns)].append(row)
    return sorted(groups.items(), key=lambda group: [_sortable(part) for part in group[0]])


def _sortable(part: Any) -> tuple[int, Any]:
    return (isinstance(part, str), part if part is not None else 0)


def _waits(group: Iterable[Row]) -> list[int]:
    return sorted(row["waited"] for row in group if row["waited"] is not None)


def _mean(waits: list[int]) -> int | None:
    return math.floor(sum(waits) / len(waits) + 0.5) if waits else None


def _p95(waits: list[int]) -> int | None:
    return waits[math.ceil(0.95 * len(waits)) - 1] if waits else None
