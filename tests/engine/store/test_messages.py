"""Who waits for a message is woken, also when nobody listened while it was sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import psycopg
import pytest

from engine.store.messages import Messages
from engine.store.pool import Pool

NEVER_S = 3600.0
WAITING = {"w1::human:a": "w1", "w2::human:a": "w2"}
PLANTED = """
INSERT INTO dbos.workflow_status (workflow_uuid, status, name)
SELECT unnest(ARRAY['w1', 'w2', 'w3']), 'PENDING', 'RunIntent'
"""
SENT = """
INSERT INTO dbos.notifications (destination_uuid, topic, message) VALUES (%(wid)s, 'human:a', '1')
"""
TAKEN = "UPDATE dbos.notifications SET consumed = true"
DEAF = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE datname = current_database() AND query = 'LISTEN dbos_notifications_channel'
"""
LISTENING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND query = 'LISTEN dbos_notifications_channel'
"""
SILENT = "ALTER TABLE dbos.notifications DISABLE TRIGGER dbos_notifications_trigger"


class Waiters:
    """Workflows that wait, and who of them was woken."""

    def __init__(self) -> None:
        self.looks = 0
        self.woken: asyncio.Queue[str] = asyncio.Queue()

    def find_waiting(self) -> dict[str, str]:
        """All of them."""
        self.looks += 1
        return WAITING

    def wake(self, key: str) -> None:
        """The key is on record."""
        self.woken.put_nowait(key)


def run_sql(dsn: str, *queries: str, wid: str = "") -> None:
    with psycopg.connect(dsn) as db:
        for query in queries:
            db.execute(query.encode(), {"wid": wid})


@asynccontextmanager
async def waiting(dsn: str) -> AsyncIterator[tuple[Waiters, Messages]]:
    """Somebody listens for two workflows, and has looked at first."""
    waiters, pool = Waiters(), Pool(dsn)
    messages = Messages(dsn, pool, waiters, look_again_s=NEVER_S)
    async with messages.running(), await psycopg.AsyncConnection.connect(dsn) as db:
        while (await (await db.execute(LISTENING)).fetchone()) != (1,) or not waiters.looks:
            await db.rollback()
            await asyncio.sleep(0)
        yield waiters, messages
    await pool.close()


@pytest.fixture
def database(clone: Callable[[], str]) -> str:
    dsn = clone()
    run_sql(dsn, PLANTED)
    return dsn


@pytest.mark.parametrize("also", [(), (DEAF,)], ids=["told", "cut off"])
def test_a_message_wakes_who_waits_for_it(database: str, also: tuple[str, ...]) -> None:
    async def scene() -> str:
        async with waiting(database) as (waiters, _):
            await asyncio.to_thread(run_sql, database, SENT, *also, wid="w2")
            return await asyncio.wait_for(waiters.woken.get(), 20)

    assert asyncio.run(scene()) == "w2::human:a"


def test_a_message_of_which_no_notice_came_is_found_when_asked(database: str) -> None:
    async def scene() -> tuple[str, bool]:
        async with waiting(database) as (waiters, messages):
            await asyncio.to_thread(run_sql, database, SILENT, SENT, wid="w1")
            await asyncio.to_thread(run_sql, database, SENT, wid="w3")  # nobody waits for it here
            await asyncio.to_thread(messages.request_look)
            first = await asyncio.wait_for(waiters.woken.get(), 20)
            return first, waiters.woken.empty()

    assert asyncio.run(scene()) == ("w1::human:a", True)


def test_a_message_that_was_taken_wakes_nobody(database: str) -> None:
    async def scene() -> list[str]:
        async with waiting(database) as (waiters, messages):
            await asyncio.to_thread(run_sql, database, SILENT, SENT, TAKEN, wid="w1")
            await asyncio.to_thread(run_sql, database, SENT, wid="w2")
            await asyncio.to_thread(messages.request_look)
            first = await asyncio.wait_for(waiters.woken.get(), 20)
            return [first, *([] if waiters.woken.empty() else [waiters.woken.get_nowait()])]

    assert asyncio.run(scene()) == ["w2::human:a"]
