"""Very many wait for the ends of workflows: all hear of them, and hardly anybody asks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Concatenate, ParamSpec, TypeVar

import psycopg
import pytest
from typing_extensions import override

from engine.store import Tx
from engine.store.endings import LOOK_AGAIN_S, Endings
from engine.store.pool import Pool

P = ParamSpec("P")
T = TypeVar("T")
MANY, SOON_S = 2000, 10
NEVER_S = 3600.0
WIDS = [f"w{number}" for number in range(MANY)]
PLANTED = """
INSERT INTO dbos.workflow_status (workflow_uuid, status, name, parent_workflow_id)
SELECT unnest(%(wids)s::text[]), 'PENDING', 'RunTask', 'parent'
"""
OVER = "UPDATE dbos.workflow_status SET status = 'SUCCESS'"
SILENT = "ALTER TABLE dbos.workflow_status DISABLE TRIGGER app_notify_ending"
DEAF = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND query LIKE 'LISTEN spec11_endings%%'
"""
LOOKS = 3  # of the one that looks for all


class Counted(Pool):
    """A pool that knows how often it was asked."""

    def __init__(self, dsn: str) -> None:
        super().__init__(dsn)
        self.asked = 0
        self.looked = asyncio.Event()

    @override
    async def insist(
        self, work: Callable[Concatenate[Tx, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        self.asked += 1
        if self.asked == MANY + LOOKS:
            self.looked.set()
        return await super().insist(work, *args, **kwargs)


class Crowd:
    """Everybody who waits, in this process."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.waiting: set[asyncio.Task[None]] = set()
        self.pool = Counted(dsn)

    @asynccontextmanager
    async def gather(self, look_again_s: float = LOOK_AGAIN_S) -> AsyncIterator[None]:
        """All wait."""
        endings = Endings(self.dsn, self.pool, look_again_s)
        async with endings.running():
            self.waiting = {asyncio.create_task(endings.wait(wid)) for wid in WIDS}
            try:
                yield
            finally:
                for each in self.waiting:
                    each.cancel()
        await self.pool.close()

    async def over(self) -> int:
        """How many have heard, within the time there is."""
        done, _ = await asyncio.wait(self.waiting, timeout=SOON_S)
        return len(done)


def sql(dsn: str, query: str, **values: object) -> None:
    with psycopg.connect(dsn) as db:
        db.execute(query.encode(), values)


@pytest.fixture
def crowd(clone: Callable[[], str]) -> Crowd:
    dsn = clone()
    sql(dsn, PLANTED, wids=WIDS)
    return Crowd(dsn)


@pytest.mark.parametrize(
    ("lost", "look_again_s"),
    [(None, NEVER_S), (SILENT, LOOK_AGAIN_S), (DEAF, NEVER_S)],
    ids=["told", "notices lost", "cut off"],
)
def test_each_hears_of_its_end_even_if_nobody_says_so(
    crowd: Crowd, lost: str | None, look_again_s: float
) -> None:
    async def scene() -> int:
        async with crowd.gather(look_again_s):
            if lost:
                await asyncio.to_thread(sql, crowd.dsn, lost)
            await asyncio.to_thread(sql, crowd.dsn, OVER)
            return await crowd.over()

    assert asyncio.run(scene()) == MANY


def test_while_nothing_ends_one_looks_for_all(crowd: Crowd) -> None:
    async def scene() -> int:
        async with crowd.gather(), asyncio.timeout((LOOKS + 2) * LOOK_AGAIN_S + SOON_S):
            await crowd.pool.looked.wait()
            return crowd.pool.asked

    assert asyncio.run(scene()) == MANY + LOOKS
