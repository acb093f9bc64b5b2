from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

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
NOTIFY = "NOTIFY spec11_queues"
NEVER_S = 3600.0
NAMES = ("runs", "tasks", "name")


@pytest.fixture
def database(clone: Callable[[], str]) -> str:
    return clone()


@pytest.fixture
def backlog(database: str) -> Iterator[Backlog]:
    made = Backlog(database)
    yield made
    made.close()


def plant_rows(database: str, status: str, *queues: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute(PLANTED, {"status": status, "queues": [*queues]})


def cut(database: str) -> None:
    with psycopg.connect(database) as connection:
        assert len(connection.execute(CUT).fetchall()) == 1


def test_only_what_waits_to_be_claimed_is_work(backlog: Backlog, database: str) -> None:
    assert backlog.find_waiting(NAMES) == set()
    plant_rows(database, "SUCCESS", "tasks")
    plant_rows(database, "DELAYED", "name")
    plant_rows(database, "ENQUEUED", "runs", "another")

    assert backlog.find_waiting(NAMES) == {"runs"}
    assert backlog.find_waiting(()) == set()


def test_a_connection_that_was_cut_is_opened_anew(backlog: Backlog, database: str) -> None:
    plant_rows(database, "ENQUEUED", "runs")
    assert backlog.find_waiting(NAMES) == {"runs"}
    cut(database)

    with pytest.raises(psycopg.OperationalError):
        backlog.find_waiting(NAMES)

    assert backlog.find_waiting(NAMES) == {"runs"}


def test_a_signal_between_look_and_wait_ends_the_wait(backlog: Backlog, database: str) -> None:
    backlog.find_waiting(NAMES)
    with psycopg.connect(database) as connection:
        connection.execute(NOTIFY)

    backlog.wait_for_signal(NEVER_S)


def test_a_signal_to_who_waits_ends_the_wait(backlog: Backlog, database: str) -> None:
    backlog.find_waiting(NAMES)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(backlog.wait_for_signal, NEVER_S)
        with psycopg.connect(database) as connection:
            connection.execute(NOTIFY)

        waiting.result(20)


def test_a_wait_ends_by_itself_and_when_the_connection_is_cut(
    backlog: Backlog, database: str
) -> None:
    backlog.find_waiting(NAMES)
    backlog.wait_for_signal(0.01)
    cut(database)

    with pytest.raises(psycopg.OperationalError):
        backlog.wait_for_signal(NEVER_S)
