"""Which executors live, by their session's lock and what it last asked; the runs of lost ones.

A beat is a query, and writes nothing: others see in the server when the session last asked.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final

from psycopg.rows import scalar_row, tuple_row

from engine.store import Tx, sql

SQL: Final = sql.load("executors")
LOCK_CLASS: Final = 0x5EC1  # app.last_beat knows it, too
SETTLED_S: Final = 5.0  # after a start of the server: everybody has retaken the lock by then
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


@dataclass(frozen=True, slots=True)
class Other:
    """Another executor with runs under way; ``silent_s`` since its beat, None without a lock."""

    executor_id: str
    silent_s: float | None


async def beat(tx: Tx, who: Identity) -> list[Other] | None:
    """The others with runs under way, asked on the session that bears the lock.

    None when this process is not the executor any more.
    """
    async with tx.cursor(row_factory=tuple_row) as rows:
        found = await (await rows.execute(SQL["beat"], asdict(who))).fetchall()
    if not all(is_present for is_present, *_ in found):
        return None
    return [Other(name, silent_s) for _, name, silent_s in found if name is not None]


async def leave(tx: Tx, who: Identity) -> None:
    """The executor says goodbye: nobody needs to look for it."""
    await tx.execute(SQL["leave"], asdict(who))


async def take_over(tx: Tx, other: str) -> int:
    """How many runs of the other executor went back to their queues; none if it is not lost."""
    bounds = {"settled_s": SETTLED_S, "frozen_s": FROZEN_S, "class": LOCK_CLASS}
    async with tx.transaction():
        if not await _scalar(tx, "declare_lost", other=other, **bounds):
            return 0
        await tx.execute(SQL["cut_off"], {"session": session_name(other)})
        return (await tx.execute(SQL["take_over"], {"other": other})).rowcount


async def _scalar(tx: Tx, name: str, **values: object) -> object:
    async with tx.cursor(row_factory=scalar_row) as rows:
        return await (await rows.execute(SQL[name], values)).fetchone()
