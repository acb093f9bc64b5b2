"""A worker and an api-shim with nothing to do ask little, and write nothing.

Statements are counted in the server's log, over some seconds of the server's own clock.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
import pytest

from engine.postgres.server import Connection, EmbeddedServer, connect
from pytest_spec11.waiting import eventually
from tests.engine.lives import header, park_run
from tests.engine.shim_process import Shim, running_shim
from tests.engine.worker_process import running_worker

WINDOW_S = 5
MOST_A_SECOND = 20
STATEMENT = re.compile(r"LOG:  (?:statement|execute [^:]*): (.*)")
CLOCK = "SELECT extract(epoch FROM clock_timestamp())::float8"
# The number of the next transaction that writes; one that only reads has none.
NEXT_WRITER = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"


@dataclass(slots=True)
class Watched:
    """What was asked of one database while it was watched."""

    seconds: float
    statements: Counter[str]
    writers: int

    @property
    def a_second(self) -> float:
        """Statements, transactions' own words included."""
        return self.statements.total() / self.seconds


@pytest.fixture
def database(server: EmbeddedServer, clone: Callable[[], str]) -> Iterator[str]:
    """A database of which every statement is in the log of a server that writes nothing itself."""
    dsn = clone()
    name = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
    with connect(server.dsn("postgres", "postgres")) as admin:
        admin.execute(f"ALTER DATABASE {name} SET log_statement = 'all'".encode())
        admin.execute("ALTER SYSTEM SET autovacuum = off")
        admin.execute("SELECT pg_reload_conf()")
        yield dsn
        admin.execute("ALTER SYSTEM RESET autovacuum")
        admin.execute("SELECT pg_reload_conf()")


@contextmanager
def connect_unlogged(dsn: str) -> Iterator[Connection]:
    """A connection whose own statements are in no log."""
    with connect(dsn.replace("user=spec11", "user=postgres")) as admin:
        admin.execute("SET log_statement = 'none'")
        yield admin


def read(connection: Connection, query: str) -> float:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return float(row[0])


def watch(server: EmbeddedServer, dsn: str) -> Watched:
    """What happens in a database during ``WINDOW_S`` of the server's clock."""
    with connect_unlogged(dsn) as admin:
        writer, began = read(admin, NEXT_WRITER), read(admin, CLOCK)
        begins_at = server.place.log.stat().st_size
        ended = eventually(
            lambda: read(admin, CLOCK),
            deadline_s=20 * WINDOW_S,
            until=lambda now: now >= began + WINDOW_S,
            every_s=0.1,
        )
        writers = int(read(admin, NEXT_WRITER) - writer)
        text = server.place.log.read_bytes()[begins_at:].decode(errors="replace")
    asked = Counter(found[:90] for found in STATEMENT.findall(text))
    return Watched(ended - began, asked, writers)


@contextmanager
def stack(dsn: str) -> Iterator[Shim]:
    with running_shim(dsn) as shim, running_worker(dsn):
        yield shim


def settle(shim: Shim) -> None:
    """The worker has looked after what an earlier life may have left, and sleeps."""
    query = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND query = %s"
    eventually(lambda: shim.rows(query, "LISTEN spec11_gates"), deadline_s=20)
    began = shim.rows("SELECT clock_timestamp() AS at")[0]["at"]
    eventually(
        lambda: shim.rows("SELECT clock_timestamp() - %s > '4 s'::interval AS over", began),
        deadline_s=60,
        until=lambda rows: rows[0]["over"],
        every_s=0.2,
    )


def test_an_idle_stack_asks_little_and_writes_nothing(
    server: EmbeddedServer, database: str
) -> None:
    with stack(database) as shim:
        settle(shim)
        seen = watch(server, database)

    assert seen.writers == 0
    assert 2 < seen.a_second <= MOST_A_SECOND, seen.statements.most_common()


def test_runs_that_wait_for_people_cost_nothing_more(server: EmbeddedServer, database: str) -> None:
    with stack(database) as shim:
        wids = [park_run(shim, f"waits {number}") for number in range(5)]
        settle(shim)
        seen = watch(server, database)
        assert {header(shim, wid)["status"] for wid in wids} == {"WAITING_INPUT"}

    assert seen.writers == 0
    assert 2 < seen.a_second <= MOST_A_SECOND, seen.statements.most_common()
