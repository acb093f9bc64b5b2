"""Rows of ``app.sbx_runs``: every attempt of every sandboxed task, once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from engine.core.canon import Json
from engine.core.results import Result
from engine.errors import RunFailed
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How an attempt ended, if it is recorded, the budget of its run as it is stored, its needs.

    ``templates`` are the ids of what is ready for the recipe version, by key.
    """

    response: dict[str, Any] | None
    budget: Any
    recipe_id: str
    recipe_v: str
    constraints: dict[str, Any]
    templates: dict[str, str]


async def standing(tx: Tx, run_id: str, task_key: str, number: int) -> Standing:
    """Whether this attempt is recorded, the budget that it has to keep to, and what it needs."""
    values: Mapping[str, object] = {"run_id": run_id, "task_key": task_key, "attempt": number}
    async with tx.cursor(row_factory=class_row(Standing)) as rows:
        found = await (await rows.execute(SQL["standing"], values)).fetchone()
    if found is None:
        raise RunFailed(f"a task of no run: {run_id}")
    return found


async def keep(tx: Tx, made: Attempt) -> dict[str, Any]:
    """Record the attempt; return its result, or the one that an earlier try recorded."""
    result = made.result
    values = {
        "run_id": made.run_id,
        "task_key": result.task_key,
        "attempt": result.attempt,
        "provider": made.provider,
        "request": Jsonb(made.request),
        "response": Jsonb(result.document),
        "err_code": result.err_code,
        "metrics": Jsonb(result.budget_metrics),
        "artifacts": json.dumps([asdict(each) for each in made.artifacts]),
    }
    written = await tx.execute(SQL["keep"], values)
    if written.rowcount == 1:
        return result.document
    stored = await standing(tx, made.run_id, result.task_key, result.attempt)
    return result.document if stored.response is None else stored.response
