"""Runs whose workflow the durable engine ended by itself: queries of one schema each (D31).

It reads only workflows that ended by themselves; a database trigger keeps their list.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from psycopg.rows import dict_row, scalar_row

from engine.store import Tx, sql

SQL: Final = sql.load("reconcile")
LOCK_CLASS: Final = 0x5EC2
STILL_S: Final = 1.5  # longer than a worker needs between its two rows
AT_ONCE: Final = 100


@dataclass(frozen=True, slots=True)
class Ended:
    """A workflow that ended while its run did not; ``error`` is portable JSON."""

    workflow_uuid: str
    status: str
    error: str | None


@dataclass(frozen=True, slots=True)
class Endings:
    """The result of one look; ``settled`` are all ids that need no further look."""

    ended: list[Ended]
    settled: list[str]


async def alone(tx: Tx) -> bool:
    """Try to take the lock of reconciling until this transaction ends; return whether it has it."""
    async with tx.cursor(row_factory=scalar_row) as rows:
        return bool(await (await rows.execute(SQL["alone"], {"class": LOCK_CLASS})).fetchone())


async def find_endings(tx: Tx) -> Endings:
    """The workflows that ended while their runs still go on."""
    async with tx.cursor(row_factory=scalar_row) as rows:
        values = {"still_s": STILL_S, "limit": AT_ONCE}
        ids = await (await rows.execute(SQL["endings"], values)).fetchall()
    if not ids:
        return Endings([], [])
    still = {
        row["execution_id"]: row["is_still"]
        for row in await _rows(tx, "open_runs", ids=ids, still_s=STILL_S)
    }
    left_alone = [id_ for id_, is_still in still.items() if is_still]
    ended = [Ended(**row) for row in await _rows(tx, "ended", ids=left_alone)]
    return Endings(ended, [id_ for id_ in ids if still.get(id_, True)])


async def forget(tx: Tx, ids: Sequence[str]) -> None:
    """Remove these from the list, unless they end once more."""
    if ids:
        await tx.execute(SQL["forget"], {"ids": [*ids], "still_s": STILL_S})


async def _rows(tx: Tx, name: str, **values: object) -> list[dict[str, Any]]:
    async with tx.cursor(row_factory=dict_row) as rows:
        return await (await rows.execute(SQL[name], values)).fetchall()


async def out_of_time(tx: Tx, run_id: str, error: str) -> None:
    """Write the reason to the canceled run."""
    await tx.execute(SQL["out_of_time"], {"run_id": run_id, "error": error})
