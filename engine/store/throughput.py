"""What the queues, the budgets and the sandboxes did of late, as their rows say it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

from psycopg.rows import class_row, dict_row

from engine.store import Tx, sql

SQL: Final = sql.load("throughput")
VIOLATIONS: Final = 100
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fairness:
    """One partition of one queue, under one word; times in epoch milliseconds."""

    queue_name: str
    partition_key: str | None
    status: str
    workflow_count: int
    started_count: int
    max_latency_ms: int | None
    oldest_created_at: int
    newest_created_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Priority:
    """One priority in one queue, under one word, and how long its work lay there."""

    queue_name: str
    priority: int
    status: str
    workflow_count: int
    started_count: int
    avg_latency_ms: int | None
    p95_latency_ms: int | None
    max_latency_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One limit that a run exceeded."""

    run_id: str
    uri: str
    metric: str
    unit: str
    allowed: int
    observed: int
    outcome: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """What tasks with the same dependencies were given, and what they took."""

    recipe_id: str
    recipe_v: str
    template_key: str
    template_id: str | None
    run_count: int
    avg_boot_ms: int
    avg_exec_ms: int


async def at_one_moment(tx: Tx) -> None:
    """What follows in this transaction sees the rows as they are now, all of them."""
    await tx.execute(SQL["at_one_moment"])


async def count_queues(tx: Tx) -> tuple[list[Fairness], list[Priority]]:
    """By queue, partition and status; and by queue, priority and status."""
    async with tx.cursor(row_factory=dict_row) as rows:
        found = await (await rows.execute(SQL["queues"])).fetchone()
    if found is None:
        raise RuntimeError("a SELECT without FROM has one row")
    fairness, priority = found["fairness"], found["priority"]
    return [Fairness(**row) for row in fairness], [Priority(**row) for row in priority]


async def budgets(tx: Tx) -> list[Violation]:
    """The newest ones, newest first."""
    return await _rows(tx, "budgets", Violation)


async def templates(tx: Tx) -> list[Template]:
    """By key; what was cold before what was hot."""
    return await _rows(tx, "templates", Template)


async def _rows(tx: Tx, name: str, kind: type[T]) -> list[T]:
    async with tx.cursor(row_factory=class_row(kind)) as rows:
        return await (await rows.execute(SQL[name], {"limit": VIOLATIONS})).fetchall()
