"""Steps as the durable engine records them: one statement to look, one to keep.

Its own functions take four each, and three threads between them. The rows are the same, and so are
the rules: only the execution that owns a workflow records its steps, each once.
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
    """The ``number``th step of a workflow, and the execution that is there."""

    workflow_id: str
    number: int
    owner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """How a workflow stands, who owns it, and the record of one step: None when there is none."""

    status: str
    owner: str | None
    name: str | None
    output: str | None
    error: str | None
    serialization: str | None
    child_workflow_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """How a step ended: its output or its error, as portable JSON, and when, in epoch ms."""

    name: str
    output: str | None
    error: str | None
    began_ms: int
    ended_ms: int
    application: str


def now_ms() -> int:
    """When a step begins or ends, for its record. No workflow sees it."""
    return time.time_ns() // 1_000_000


async def find(tx: Tx, place: Place) -> Found | None:
    """What is on record of the step; None when there is no such workflow."""
    async with tx.cursor(row_factory=class_row(Found)) as rows:
        return await (await rows.execute(SQL["find"], asdict(place))).fetchone()


async def keep(tx: Tx, place: Place, record: Record) -> int | None:
    """When the step on record ended: ``record``, now or before, or another one of that number.

    None when another execution owns the workflow: then nothing is kept.
    """
    async with tx.cursor(row_factory=scalar_row) as rows:
        values = asdict(place) | asdict(record)
        kept: int | None = await (await rows.execute(SQL["keep"], values)).fetchone()
        return kept
