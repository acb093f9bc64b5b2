from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest

from engine.store.backlog import Backlog

PLANTED = """
INSERT INTO dbos.workflow_status (workflow_uuid, status, name, queue_name, queue_partition_key)
SELECT queue || n, %(status)s, 'runs', queue, 't' FROM unnest(%(queues)s::text[]) AS queue,
  generate_series(1, 3) AS n
"""
CUT = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
NAMES = ("runs", "tasks", "name")


@pytest.fixture
def database(clone: Callable[[], str]) -> str:
    return clone()


@pytest.fixture
def backlog(database: str) -> Iterator[Backlog]:
    made = Backlog(database)
    yield made
    made.close()


def planted(database: str, status: str, *queues: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute(PLANTED, {"status": status, "queues": [*queues]})


def test_only_what_waits_to_be_claimed_is_work(backlog: Backlog, database: str) -> None:
    assert backlog.waiting(NAMES) == set()
    planted(database, "SUCCESS", "tasks")
    planted(database, "DELAYED", "name")
    planted(database, "ENQUEUED", "runs", "another")

    assert backlog.waiting(NAMES) == {"runs"}
    assert backlog.waiting(()) == set()


def test_a_connection_that_was_cut_is_opened_anew(backlog: Backlog, database: str) -> None:
    planted(database, "ENQUEUED", "runs")
    assert backlog.waiting(NAMES) == {"runs"}
    with psycopg.connect(database) as connection:
        assert len(connection.execute(CUT).fetchall()) == 1

    with pytest.raises(psycopg.OperationalError):
        backlog.waiting(NAMES)

    assert backlog.waiting(NAMES) == {"runs"}
