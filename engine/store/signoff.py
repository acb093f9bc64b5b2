"""What the database says against a release, right now and by its own clock (D30, D31)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final, LiteralString

from psycopg.rows import class_row, dict_row, scalar_row

from engine.core.triggers import Finding, Standing
from engine.store import Tx, sql

SQL: Final = sql.load("signoff")
CHUNK: Final = 5_000


@dataclass(frozen=True, slots=True)
class Live:
    """Suspicious rows by kind, and how runs stand of which the two schemas may tell different ends.

    These are the ones that ended lately, and those that live in schema app alone: one that lives in
    both is no divergence, whatever the words. ``app`` and ``engine`` by the id of the run's
    execution, ``runs`` its workflow id by the same.
    """

    now_ms: int
    budget: list[Finding]
    doubled: list[Finding]
    failures: list[Finding]
    app: dict[str, Standing]
    engine: dict[str, Standing]
    runs: dict[str, str]


async def live(tx: Tx) -> Live:
    """All of it, of one moment."""
    async with tx.transaction():
        await tx.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        async with tx.cursor(row_factory=scalar_row) as row:
            now_ms = await (await row.execute(SQL["now"])).fetchone()
        lone = await _ids(tx, "live_runs") - await _ids(tx, "live_executions")
        async with tx.cursor(row_factory=dict_row) as rows:
            ours = await (await rows.execute(SQL["ended_lately"])).fetchall()
            ours += await (await rows.execute(SQL["standings"], {"ids": [*lone]})).fetchall()
            ids = [row["execution_id"] for row in ours]
            theirs = await (await rows.execute(SQL["executions"], {"ids": ids})).fetchall()
        return Live(
            now_ms=now_ms or 0,
            budget=await _findings(tx, SQL["budget"]),
            doubled=await _findings(tx, SQL["doubled"]),
            failures=await _findings(tx, SQL["failures"]),
            app={row["execution_id"]: Standing(row["status"], row["ts"]) for row in ours},
            engine={row["workflow_uuid"]: Standing(row["status"], row["ts"]) for row in theirs},
            runs={row["execution_id"]: row["workflow_id"] for row in ours},
        )


async def _ids(tx: Tx, name: str) -> set[str]:
    """Every id that the query finds. They may be many: others get their turn in between."""
    found: set[str] = set()
    async with tx.cursor(row_factory=scalar_row) as rows:
        await rows.execute(SQL[name])
        while some := await rows.fetchmany(CHUNK):
            found.update(some)
            await asyncio.sleep(0)
    return found


async def _findings(tx: Tx, query: LiteralString) -> list[Finding]:
    async with tx.cursor(row_factory=class_row(Finding)) as rows:
        return await (await rows.execute(query)).fetchall()
