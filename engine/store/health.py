"""What the database says about itself and about the workers that beat in it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from typing import Final

from psycopg import errors
from psycopg.rows import class_row, scalar_row

from engine.store import Tx, sql

SQL: Final = sql.load("health")
DBOS_SCHEMA: Final = 125  # what dbos 3.4.0 migrates to; the api-shim does not load it to ask


@dataclass(frozen=True, slots=True)
class Worker:
    """A live executor."""

    executor_id: str
    app_version: str
    seen_at: datetime


def app_schema() -> int:
    """The newest migration that ships with this code."""
    names = (file.name for file in resources.files("engine.store.migrations").iterdir())
    return max(int(name[:4]) for name in names if name.endswith(".sql"))


async def server_version(tx: Tx) -> str:
    """The server's version, such as 18.6."""
    async with tx.cursor(row_factory=scalar_row) as rows:
        return str(await (await rows.execute(SQL["server"])).fetchone())


async def schema_version(tx: Tx, schema: str) -> int | None:
    """The newest migration applied to schema ``app`` or ``dbos``; None if it is missing."""
    async with tx.cursor(row_factory=scalar_row) as rows:
        try:
            found = await (await rows.execute(SQL[f"{schema}_schema"])).fetchone()
        except (errors.UndefinedTable, errors.InvalidSchemaName):
            return None
    return None if found is None else int(found)


async def workers(tx: Tx) -> list[Worker]:
    """The live executors, by id."""
    async with tx.cursor(row_factory=class_row(Worker)) as rows:
        return await (await rows.execute(SQL["workers"])).fetchall()
