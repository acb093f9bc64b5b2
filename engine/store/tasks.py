"""Rows of ``app.sbx_runs``: every attempt of every sandboxed task, once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from psycopg.rows import scalar_row
from psycopg.types.json import Jsonb

from engine.core.canon import Json
from engine.core.results import Result
from engine.store import Tx, sql
from engine.store.steps import Left

SQL: Final = sql.load("tasks")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt of a task: who ran what, how it ended, what it left behind."""

    run_id: str
    provider: str
    request: dict[str, Json]
    result: Result
    artifacts: Sequence[Left]


async def attempt(tx: Tx, run_id: str, task_key: str, number: int) -> dict[str, Any] | None:
    """How this attempt ended, if it is recorded."""
    values: Mapping[str, object] = {"run_id": run_id, "task_key": task_key, "attempt": number}
    async with tx.cursor(row_factory=scalar_row) as rows:
        found: dict[str, Any] | None = await (await rows.execute(SQL["attempt"], values)).fetchone()
    return found


async def keep(tx: Tx, made: Attempt) -> dict[str, Any]:
    """How the attempt ended: as made now, or as an earlier try of it recorded."""
    result = made.result
    values = {
        "run_id": made.run_id,
        "task_key": result.task_key,
        "attempt": result.attempt,
        "provider": made.provider,
        "request": Jsonb(made.request),
        "response": Jsonb(result.document),
        "err_code": result.err_code,
        "metrics": Jsonb(result.metrics),
        "artifacts": json.dumps([asdict(each) for each in made.artifacts]),
    }
    written = await tx.execute(SQL["keep"], values)
    if written.rowcount == 1:
        return result.document
    stored = await attempt(tx, made.run_id, result.task_key, result.attempt)
    return result.document if stored is None else stored
