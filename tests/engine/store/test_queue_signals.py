"""Those who enqueue tell the workers: once for all who enqueue together, also after a loss."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import psycopg
import pytest

from engine.store.queue_signals import QueueSignals

CUT = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE datname = current_database() AND query = 'NOTIFY spec11_queues'
"""
SOON_S = 20


@pytest.fixture
def database(clone: Callable[[], str]) -> str:
    return clone()


@asynccontextmanager
async def hearing(dsn: str) -> AsyncIterator[tuple[QueueSignals, psycopg.AsyncConnection]]:
    """Who tells, and a connection that hears."""
    signals = QueueSignals(dsn)
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as line:
        await line.execute("LISTEN spec11_queues")
        async with signals.running():
            yield signals, line


async def hear_one(line: psycopg.AsyncConnection) -> int:
    """How many came at once, at least one."""
    return len([each async for each in line.notifies(timeout=SOON_S, stop_after=1)])


def test_many_who_tell_at_once_are_one_signal(database: str) -> None:
    async def scene() -> tuple[int, int]:
        async with hearing(database) as (signals, line):
            for _ in range(1000):
                signals.send()
            first = await hear_one(line)
            signals.send()
            return first, await hear_one(line)

    assert asyncio.run(scene()) == (1, 1)


def test_a_connection_that_was_cut_costs_no_signal(database: str) -> None:
    async def scene() -> int:
        async with hearing(database) as (signals, line):
            signals.send()
            await hear_one(line)
            async with await psycopg.AsyncConnection.connect(database) as other:
                assert len(await (await other.execute(CUT)).fetchall()) == 1
            signals.send()
            return await hear_one(line)

    assert asyncio.run(scene()) == 1
