"""The state of the database, and its live workers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, LiteralString

from psycopg import Error, errors
from psycopg.rows import class_row, scalar_row

from engine.store import Tx, sql
from engine.store.pool import Pool

SQL: Final = sql.load("health")
DEADLINE_S: Final = 2.5


@dataclass(frozen=True, slots=True)
class Worker:
    """A live executor."""

    executor_id: str
    app_version: str
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class Look:
    """The result of one check; None for a missing schema."""

    server: str
    app_schema: int | None
    dbos_schema: int | None
    workers: list[Worker]


async def look(pool: Pool) -> Look | None:
    """Check the database; None if it does not answer within ``DEADLINE_S`` seconds."""
    try:
        async with pool.connection(DEADLINE_S) as tx:
            async with tx.cursor(row_factory=scalar_row) as rows:
                server = str(await (await rows.execute(SQL["server"])).fetchone())
            app = await _version(tx, SQL["app_schema"])
            dbos = await _version(tx, SQL["dbos_schema"])
            return Look(server, app, dbos, [] if app is None else await _workers(tx))
    except (Error, TimeoutError):
        return None


async def _version(tx: Tx, query: LiteralString) -> int | None:
    async with tx.cursor(row_factory=scalar_row) as rows:
        try:
            found = await (await rows.execute(query)).fetchone()
        except (errors.UndefinedTable, errors.InvalidSchemaName):
            return None
    return None if found is None else int(found)


async def _workers(tx: Tx) -> list[Worker]:
    async with tx.cursor(row_factory=class_row(Worker)) as rows:
        return await (await rows.execute(SQL["workers"])).fetchall()
