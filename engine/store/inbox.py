"""Open gates of all runs, and existing workflows of the durable engine."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from psycopg.rows import class_row, scalar_row

from engine.store import Tx, sql

SQL: Final = sql.load("inbox")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenGate:
    """A gate at which its run waits; ``left_s`` to its deadline by the database's clock.

    ``escalation_id`` is the id of the workflow that escalates its deadline, if it exists.
    """

    workflow_id: str
    gate_key: str
    topic: str
    deadline_at: datetime
    created_at: datetime
    left_s: float
    escalation_id: str


async def open_gates(tx: Tx, limit: int) -> list[OpenGate]:
    """At most ``limit`` open gates by deadline, creation and workflow id."""
    async with tx.cursor(row_factory=class_row(OpenGate)) as rows:
        return await (await rows.execute(SQL["open_gates"], {"limit": limit})).fetchall()


async def workflows(tx: Tx, ids: list[str]) -> set[str]:
    """Those of ``ids`` that have a row in the durable engine."""
    if not ids:
        return set()
    async with tx.cursor(row_factory=scalar_row) as rows:
        return {*await (await rows.execute(SQL["workflows"], {"ids": ids})).fetchall()}
