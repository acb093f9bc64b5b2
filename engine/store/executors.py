"""Live executors, by the lock and last query of their session; takeover of lost executors' runs.

A heartbeat is a query and writes nothing: the server shows others the time of the last query.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final

from psycopg.rows import scalar_row, tuple_row

from engine.store import Tx, sql

SQL: Final = sql.load("executors")
LOCK_CLASS: Final = 0x5EC1  # app.last_beat knows it, too
SETTLED_S: Final = 5.0  # after a start of the server, all locks are taken again by then
FROZEN_S: Final = 5.0  # with a lock and without a heartbeat the process is frozen


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """One process under one executor id; ``incarnation`` is unique."""

    executor_id: str
    incarnation: str
    app_version: str
    pid: int


def session_name(executor_id: str) -> str:
    """The name of every session of this executor."""
    return f"spec11-worker-{executor_id}"


async def hold(tx: Tx, executor_id: str) -> bool:
    """Try to take the lock of the executor id; return whether this session has it."""
    return bool(await _scalar(tx, "hold", executor_id=executor_id, **{"class": LOCK_CLASS}))


async def register(tx: Tx, who: Identity) -> None:
    """Register this process as the executor, in place of an earlier one with that id."""
    await tx.execute(SQL["register"], asdict(who))


@dataclass(frozen=True, slots=True)
class Other:
    """Another executor with running runs. ``silent_s``: since its heartbeat; None: no lock."""

    executor_id: str
    silent_s: float | None


async def beat(tx: Tx, who: Identity) -> list[Other] | None:
    """Send a heartbeat on the session that has the lock; return other executors with running runs.

    None if this process is not the executor any more.
    """
    async with tx.cursor(row_factory=tuple_row) as rows:
        found = await (await rows.execute(SQL["beat"], asdict(who))).fetchall()
    if not all(is_present for is_present, *_ in found):
        return None
    return [Other(name, silent_s) for _, name, silent_s in found if name is not None]


async def leave(tx: Tx, who: Identity) -> None:
    """Sign the executor off, so that nobody looks for it."""
    await tx.execute(SQL["leave"], asdict(who))


async def take_over(tx: Tx, other: str) -> int:
    """Put the runs of a lost executor back into their queues; return their number."""
    bounds = {"settled_s": SETTLED_S, "frozen_s": FROZEN_S, "class": LOCK_CLASS}
    async with tx.transaction():
        if not await _scalar(tx, "declare_lost", other=other, **bounds):
            return 0
        await tx.execute(SQL["cut_off"], {"session": session_name(other)})
        return (await tx.execute(SQL["take_over"], {"other": other})).rowcount


async def _scalar(tx: Tx, name: str, **values: object) -> object:
    async with tx.cursor(row_factory=scalar_row) as rows:
        return await (await rows.execute(SQL[name], values)).fetchone()
