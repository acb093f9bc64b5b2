"""Rows of ``app.runs`` and ``app.intents``, and the one statement that starts a run."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final

from psycopg.rows import class_row, dict_row
from psycopg.types.json import Jsonb

from engine.core import workflows as names
from engine.core.canon import Json
from engine.core.runs import Progress, Run
from engine.core.workflows import Workflow
from engine.errors import Missing
from engine.store import Tx, sql

SQL: Final = sql.load("runs")
_RUN: Final = tuple(field.name for field in fields(Run))
_PROGRESS: Final = tuple(field.name for field in fields(Progress))


@dataclass(frozen=True, slots=True)
class Moved:
    """One word that a run's status became; ``id`` ascends."""

    id: int
    status: str


@dataclass(frozen=True, slots=True)
class Intent:
    """A stored intent and the recipe that rendered it."""

    id: str
    json: dict[str, Json]
    recipe_id: str
    recipe_v: str
    recipe_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A run that was just stored and enqueued, or, if ``is_replay``, existed before.

    ``workflow`` is the durable engine's state of the run's first execution.
    """

    run: Run
    progress: Progress
    workflow: Workflow | None
    is_replay: bool


async def start(tx: Tx, run: Run, intent: dict[str, Json]) -> Started | None:
    """Store and enqueue the run unless it exists; None if a key was taken at this moment (D6)."""
    values: dict[str, Any] = {name: getattr(run, name) for name in _RUN}
    values["workload"] = None if run.workload is None else Jsonb(run.workload)
    values["budget"] = None if run.budget is None else Jsonb(run.budget)
    values["intent"] = Jsonb(intent)
    values["goal"] = intent["goal"]
    values["workflow_name"] = names.RUN
    async with tx.cursor(row_factory=dict_row) as rows:
        row = await (await rows.execute(SQL["start"], values)).fetchone()
    if row is None:
        return None
    found: dict[str, Any] = row.pop("known") or {}
    engine = row.pop("engine")
    progress = found | row  # the columns beside the document are typed
    return Started(
        run=run if row["is_fresh"] else Run(**{name: found[name] for name in _RUN}),
        progress=Progress(**{name: progress[name] for name in _PROGRESS if name in progress}),
        workflow=Workflow("ENQUEUED", run.app_version, None)
        if row["is_fresh"]
        else engine and Workflow(**engine),
        is_replay=not row["is_fresh"],
    )


async def load(tx: Tx, wid: str) -> tuple[Run, Progress]:
    """The run with this workflow id or run id. Raises Missing."""
    if found := await find(tx, wid):
        return found
    raise Missing("run not found")


async def find(tx: Tx, wid: str) -> tuple[Run, Progress] | None:
    """The run with this workflow id or run id, if there is one."""
    async with tx.cursor(row_factory=dict_row) as rows:
        row = await (await rows.execute(SQL["by_id"], {"wid": wid})).fetchone()
    if row is None:
        return None
    run = Run(**{name: row[name] for name in _RUN})
    return run, Progress(**{name: row[name] for name in _PROGRESS})


async def intent(tx: Tx, intent_id: str) -> Intent | None:
    """The stored intent, if there is one."""
    async with tx.cursor(row_factory=class_row(Intent)) as rows:
        return await (await rows.execute(SQL["intent"], {"intent_id": intent_id})).fetchone()


async def words(tx: Tx, run_id: str, after: int) -> list[Moved]:
    """What the run's status became after the word of that id, in order."""
    async with tx.cursor(row_factory=class_row(Moved)) as rows:
        values = {"run_id": run_id, "after": after}
        return await (await rows.execute(SQL["words"], values)).fetchall()
