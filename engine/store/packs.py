"""All stored rows of one run in both schemas, at one moment."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from psycopg.rows import scalar_row

from engine.store import Tx, sql

SQL: Final = sql.load("packs")
Rows = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """The rows of a run and its forks in schema app and schema dbos, with their audits.

    Rows are by section; None means a section without rows.
    """

    app: Rows
    engine: Rows
    audits: list[dict[str, Any]]


async def load_pack(tx: Tx, wid: str) -> Found | None:
    """Everything about the run of this workflow id or run id; None if the run does not exist.

    It uses one snapshot, and no statement reads both schemas (D31).
    """
    async with _snapshot(tx):
        app: Rows | None = await _scalar(tx, "app", wid=wid)
        if app is None:
            return None
        engine: Rows = await _scalar(tx, "engine", known=app["known"])
        ids = [*(run["id"] for run in app["runs"]), *(engine["workflowScope"] or ())]
        return Found(app, engine, await _scalar(tx, "audits", ids=ids))


@asynccontextmanager
async def _snapshot(tx: Tx) -> AsyncIterator[None]:
    """Read one snapshot in the block, with times in UTC."""
    async with tx.transaction():
        await tx.execute(SQL["begin"])
        await tx.execute(SQL["utc"])
        yield


async def _scalar(tx: Tx, name: str, **values: object) -> Any:
    async with tx.cursor(row_factory=scalar_row) as rows:
        return await (await rows.execute(SQL[name], values)).fetchone()
