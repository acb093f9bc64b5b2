"""Steps and artifacts of a run, as the API shows them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from psycopg.rows import class_row

from engine.store import Tx, sql

SQL: Final = sql.load("artifacts")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The newest attempt of one step."""

    step_id: str
    attempt: int
    phase: str
    output: Any
    trace_id: str | None
    span_id: str | None
    started_at: datetime
    finished_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """One stored artifact."""

    kind: str
    uri: str
    inline: Any
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepArtifact(Artifact):
    """One stored artifact, and the attempt that wrote it."""

    step_id: str
    attempt: int
    created_at: datetime


async def by_uri(tx: Tx, uri: str) -> Artifact | None:
    """The artifact of this uri from the newest attempt, if it exists."""
    async with tx.cursor(row_factory=class_row(Artifact)) as rows:
        return await (await rows.execute(SQL["by_uri"], {"uri": uri})).fetchone()


async def of_run(tx: Tx, run_id: str) -> list[StepArtifact]:
    """All artifacts of the run, by step."""
    async with tx.cursor(row_factory=class_row(StepArtifact)) as rows:
        return await (await rows.execute(SQL["of_run"], {"run_id": run_id})).fetchall()


async def steps(tx: Tx, run_id: str) -> list[Step]:
    """The newest attempt of each step of the run, in no order."""
    async with tx.cursor(row_factory=class_row(Step)) as rows:
        return await (await rows.execute(SQL["steps"], {"run_id": run_id})).fetchall()
