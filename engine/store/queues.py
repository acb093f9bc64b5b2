"""Queue depth by the durable engine's rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from psycopg.rows import class_row

from engine.store import Tx, sql

SQL: Final = sql.load("queues")


@dataclass(frozen=True, slots=True)
class Depth:
    """How many workflows of one queue have one status; times in epoch milliseconds."""

    queue_name: str | None
    status: str
    workflow_count: int
    oldest_created_at: int
    newest_created_at: int


async def depth(tx: Tx, limit: int) -> list[Depth]:
    """At most ``limit`` rows, by queue and status."""
    async with tx.cursor(row_factory=class_row(Depth)) as rows:
        return await (await rows.execute(SQL["depth"], {"limit": limit})).fetchall()
