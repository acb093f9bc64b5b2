"""Queue depth as the durable engine's rows say it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from psycopg.rows import class_row

from engine.store import Tx, sql

SQL: Final = sql.load("queues")


@dataclass(frozen=True, slots=True)
class Depth:
    """How many workflows of one queue stand under one word; times in epoch milliseconds."""

    queue_name: str | None
    status: str
    workflow_count: int
    oldest_created_at: int
    newest_created_at: int


async def depth(tx: Tx, limit: int) -> list[Depth]:
    """At most ``limit`` rows, by queue and status."""
    async with tx.cursor(row_factory=class_row(Depth)) as rows:
        return await (await rows.execute(SQL["depth"], {"limit": limit})).fetchall()
