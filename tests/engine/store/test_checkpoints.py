"""Records of steps: the rows that the durable engine itself would write, under the same rules."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

import psycopg
import pytest
from dbos import DBOSClient, DBOSPortableJSONSerializer
from psycopg.rows import dict_row

from engine.flows.steps import APPLICATION
from engine.store import Tx, checkpoints, pool
from engine.store.checkpoints import Place, Record
from engine.store.migrations import sqlalchemy_url

T = TypeVar("T")
OWNED = """
WITH made AS (
    SELECT dbos.enqueue_workflow(workflow_name => 'W', queue_name => 'q', workflow_id => %(id)s,
                                 application_name => 'spec11')
)
SELECT FROM made
"""
TAKE = """
UPDATE dbos.workflow_status SET status = 'PENDING', owner_xid = %(owner)s
WHERE workflow_uuid = %(id)s
"""
KEPT = "SELECT * FROM dbos.operation_outputs WHERE workflow_uuid = %(id)s ORDER BY function_id"
PLACE = Place(workflow_id="w", number=1, owner="me")
RECORD = Record(
    name="CompileST",
    output='{"a": 1}',
    error=None,
    began_ms=1_000,
    ended_ms=2_000,
    application=APPLICATION,
)


@pytest.fixture
def dsn(clone: Callable[[], str]) -> str:
    """A database with the workflow of ``PLACE``, which its owner executes."""
    made = clone()
    with psycopg.connect(made, autocommit=True) as db:
        for statement in (OWNED, TAKE):
            db.execute(statement, {"id": PLACE.workflow_id, "owner": PLACE.owner})
    return made


@pytest.fixture
def durable(dsn: str) -> Iterator[Any]:
    """The durable engine's own functions on that database."""
    client = DBOSClient(
        system_database_url=sqlalchemy_url(dsn),
        serializer=DBOSPortableJSONSerializer(),
        application_name=APPLICATION,
    )
    yield client._sys_db  # noqa: SLF001  # what ours are held against
    client.destroy()


def run_once(dsn: str, work: Callable[[Tx], Awaitable[T]]) -> T:
    """What ``work`` returns over a connection of its own."""

    async def main() -> T:
        async with await pool.connect(dsn) as tx:
            return await work(tx)

    return asyncio.run(main())


def rows(dsn: str) -> list[dict[str, Any]]:
    with psycopg.connect(dsn, row_factory=dict_row) as db:
        return db.execute(KEPT, {"id": PLACE.workflow_id}).fetchall()


def test_a_record_is_the_row_that_the_durable_engine_writes(dsn: str, durable: Any) -> None:
    run_once(dsn, lambda tx: checkpoints.keep(tx, PLACE, RECORD))
    durable.record_operation_result(
        {
            "workflow_uuid": PLACE.workflow_id,
            "function_id": 2,
            "function_name": RECORD.name,
            "output": RECORD.output,
            "error": None,
            "serialization": "portable_json",
            "started_at_epoch_ms": RECORD.began_ms,
            "child_workflow_id": None,
        },
        completed_at_epoch_ms=RECORD.ended_ms,
        owner_xid=PLACE.owner,
    )

    ours, its = rows(dsn)

    own = {"function_id": 2, "retention_timestamp": its["retention_timestamp"]}
    assert ours | own == its
    assert 0 <= its["retention_timestamp"] - ours["retention_timestamp"] < 60_000


def test_the_durable_engine_finds_our_record_as_we_do(dsn: str, durable: Any) -> None:
    assert durable.check_operation_execution("w", 1, RECORD.name) is None
    before = run_once(dsn, lambda tx: checkpoints.find(tx, PLACE))
    run_once(dsn, lambda tx: checkpoints.keep(tx, PLACE, RECORD))

    found = run_once(dsn, lambda tx: checkpoints.find(tx, PLACE))

    its = durable.check_operation_execution("w", 1, RECORD.name)
    assert before is not None
    assert found is not None
    assert (before.status, before.owner, before.name) == ("PENDING", "me", None)
    assert (found.output, found.error, found.serialization) == (
        its["output"],
        its["error"],
        its["serialization"],
    )


def test_who_does_not_own_the_workflow_keeps_nothing(dsn: str) -> None:
    stranger = replace(PLACE, owner="another")

    assert run_once(dsn, lambda tx: checkpoints.keep(tx, stranger, RECORD)) is None
    assert rows(dsn) == []


def test_a_repeat_finds_its_own_record_and_nobody_changes_it(dsn: str) -> None:
    other = replace(RECORD, output='{"a": 2}', ended_ms=3_000)

    async def thrice(tx: Tx) -> list[int | None]:
        return [await checkpoints.keep(tx, PLACE, each) for each in (RECORD, RECORD, other)]

    assert run_once(dsn, thrice) == [2_000, 2_000, 2_000]
    assert [row["output"] for row in rows(dsn)] == [RECORD.output]


def test_a_workflow_taken_over_meanwhile_refuses_the_record_that_waited(dsn: str) -> None:
    """The look at the owner is one with the lock: what came before it is seen."""

    async def late(tx: Tx) -> int | None:
        async with await pool.connect(dsn) as taker, await pool.connect(dsn) as watcher:
            async with taker.transaction():
                await taker.execute(TAKE, {"id": PLACE.workflow_id, "owner": "another"})
                record = asyncio.create_task(checkpoints.keep(tx, PLACE, RECORD))
                await _waits_for_a_lock(watcher, tx)
            return await record

    assert run_once(dsn, late) is None
    assert rows(dsn) == []


async def _waits_for_a_lock(watcher: Tx, tx: Tx) -> None:
    query = "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = %s"
    async with asyncio.timeout(10):
        while True:
            found = await (await watcher.execute(query, (tx.info.backend_pid,))).fetchone()
            if found == (True,):
                return
            await asyncio.sleep(0)
