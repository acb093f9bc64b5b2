"""Runs whose workflow the durable engine ended by itself: two queries, correlated by id (D31)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from psycopg.rows import class_row, scalar_row

from engine.store import Tx, sql

SQL: Final = sql.load("reconcile")
LOCK_CLASS: Final = 0x5EC2
STILL_S: Final = 1.5  # longer than a worker takes from the one row to the other


@dataclass(frozen=True, slots=True)
class Ended:
    """A workflow that has ended though its run has not; ``error`` is portable JSON."""

    workflow_uuid: str
    status: str
    error: str | None


async def alone(tx: Tx) -> bool:
    """Whether nobody else reconciles until this transaction ends."""
    async with tx.cursor(row_factory=scalar_row) as rows:
        return bool(await (await rows.execute(SQL["alone"], {"class": LOCK_CLASS})).fetchone())


async def ended(tx: Tx) -> list[Ended]:
    """The workflows that have ended while their runs are still on their way."""
    async with tx.cursor(row_factory=scalar_row) as rows:
        ids = await (await rows.execute(SQL["open_runs"], {"still_s": STILL_S})).fetchall()
    if not ids:
        return []
    async with tx.cursor(row_factory=class_row(Ended)) as found:
        values = {"ids": ids, "still_s": STILL_S}
        return await (await found.execute(SQL["ended"], values)).fetchall()


async def out_of_time(tx: Tx, run_id: str, error: str) -> None:
    """The canceled run says why."""
    await tx.execute(SQL["out_of_time"], {"run_id": run_id, "error": error})
