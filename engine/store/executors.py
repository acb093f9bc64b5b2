"""Which executors live, by their session's lock and their beats; and the runs of lost ones."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final

from psycopg.rows import scalar_row

from engine.store import Tx, sql

SQL: Final = sql.load("executors")
LOCK_CLASS: Final = 0x5EC1
SETTLED_S: Final = 5.0  # after a start of the server: everybody has retaken the lock by then
MISSED_S: Final = 1.0  # without lock and beat: the process is gone
FROZEN_S: Final = 5.0  # with a lock, without a beat: the process stands still


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """One process under one executor id; ``incarnation`` is like no other's."""

    executor_id: str
    incarnation: str
    app_version: str
    pid: int


def session_name(executor_id: str) -> str:
    """What every session of this executor calls itself."""
    return f"spec11-worker-{executor_id}"


async def hold(tx: Tx, executor_id: str) -> bool:
    """Whether this session now bears the executor id: no other session does."""
    return bool(await _scalar(tx, "hold", executor_id=executor_id, **{"class": LOCK_CLASS}))


async def register(tx: Tx, who: Identity) -> None:
    """This process is the executor; an earlier one of that id is over."""
    await tx.execute(SQL["register"], asdict(who))


async def beat(tx: Tx, who: Identity) -> bool:
    """Whether this process is still the executor, and seen now."""
    return await _scalar(tx, "beat", **asdict(who)) is not None


async def leave(tx: Tx, who: Identity) -> None:
    """The executor says goodbye: nobody needs to look for it."""
    await tx.execute(SQL["leave"], asdict(who))


async def take_over(tx: Tx, executor_id: str) -> int:
    """How many runs of lost executors went back to their queues."""
    async with tx.cursor(row_factory=scalar_row) as rows:
        query = SQL["others"], {"executor_id": executor_id}
        others = await (await rows.execute(*query)).fetchall()
    return sum([await _taken(tx, other) for other in others])


async def _taken(tx: Tx, other: str) -> int:
    bounds = {"settled_s": SETTLED_S, "missed_s": MISSED_S, "frozen_s": FROZEN_S}
    async with tx.transaction():
        if not await _scalar(tx, "declare_lost", other=other, **bounds, **{"class": LOCK_CLASS}):
            return 0
        await tx.execute(SQL["cut_off"], {"session": session_name(other)})
        return (await tx.execute(SQL["take_over"], {"other": other})).rowcount


async def _scalar(tx: Tx, name: str, **values: object) -> object:
    async with tx.cursor(row_factory=scalar_row) as rows:
        return await (await rows.execute(SQL[name], values)).fetchone()
