"""Step records of the durable engine: one statement reads a record, one writes it.

The durable engine's own functions need four statements each, and three threads. The rows and rules
are the same: only the execution that owns a workflow records its steps, each once.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Final

from psycopg.rows import class_row, scalar_row

from engine.store import Tx, sql

SQL: Final = sql.load("checkpoints")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Step ``number`` of a workflow, and the execution that runs it."""

    workflow_id: str
    number: int
    owner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A workflow's status and owner, and the record of one step; None if there is none."""

    status: str
    owner: str | None
    name: str | None
    output: str | None
    error: str | None
    serialization: str | None
    child_workflow_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The end of a step: its output or error as portable JSON, and its time in epoch ms."""

    name: str
    output: str | None
    error: str | None
    began_ms: int
    ended_ms: int
    application: str


def now_ms() -> int:
    """The time for a step's record. No workflow sees it."""
    return time.time_ns() // 1_000_000


async def find(tx: Tx, place: Place) -> Found | None:
    """The record of the step; None if the workflow does not exist."""
    async with tx.cursor(row_factory=class_row(Found)) as rows:
        return await (await rows.execute(SQL["find"], asdict(place))).fetchone()


async def keep(tx: Tx, place: Place, record: Record) -> int | None:
    """Write the record, unless the step has one; return the end time of the stored record.

    None if another execution owns the workflow; then nothing is written.
    """
    async with tx.cursor(row_factory=scalar_row) as rows:
        values = asdict(place) | asdict(record)
        kept: int | None = await (await rows.execute(SQL["keep"], values)).fetchone()
        return kept
