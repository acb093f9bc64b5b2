"""The database's own commands: migrate, reset, psql."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

import psycopg
import pytest

from engine.postgres.binaries import Programs
from engine.postgres.server import EmbeddedServer, connect
from engine.store.migrations import LEDGER, LOCK
from pytest_spec11.waiting import GIVE_UP_S, eventually
from tests.engine.processes import begin_command, engine
from tests.engine.shim_process import running_shim

NUMBERS = count()
OTHER_SPELLINGS = ("client_encoding = LATIN1", "datestyle = German", "intervalstyle = iso_8601")
MIGRATING = """
SELECT count(*) FROM pg_stat_activity
WHERE application_name = 'spec11-migrate' AND datname = current_database()
"""
# What is blocked has run the whole file and is about to say so in the ledger.
BLOCKED = """
SELECT pid FROM pg_stat_activity
WHERE application_name = 'spec11-migrate' AND datname = current_database()
      AND wait_event_type = 'Lock' AND query LIKE 'INSERT INTO app.schema_migrations%'
"""


@pytest.fixture
def empty(server: EmbeddedServer) -> str:
    """How to reach a database with nothing in it."""
    name = f"empty_{next(NUMBERS)}"
    with connect(server.dsn("postgres", "postgres")) as admin:
        admin.execute(f"CREATE DATABASE {name} OWNER spec11")
    return server.dsn(name)


def dump_database(dsn: str, *options: str) -> str:
    """What pg_dump writes of the database."""
    made = subprocess.run(  # noqa: S603  # our own words only
        [Programs.find_installed().path("pg_dump"), "--restrict-key=same", *options, dsn],
        capture_output=True,
        text=True,
        check=True,
    )
    return made.stdout


@contextmanager
def holding(dsn: str, *statements: str) -> Iterator[psycopg.Connection]:
    """A connection that has begun a transaction with ``statements``."""
    with psycopg.connect(dsn) as holder:
        for statement in statements:
            holder.execute(statement.encode())
        yield holder
        holder.rollback()


def find_value(dsn: str, query: str) -> object:
    """The one value that ``query`` finds, None if there is none."""
    with connect(dsn) as db:
        row = db.execute(query.encode()).fetchone()
    return row[0] if row else None


def test_migrating_again_changes_no_byte(clone: Callable[[], str]) -> None:
    dsn = clone()
    before = dump_database(dsn)

    first, second = (engine("db", "migrate", "--json", SPEC11_DSN=dsn) for _ in range(2))

    assert (first.code, second.code) == (0, 0)
    assert [json.loads(each.stdout) for each in (first, second)] == [{"applied": []}] * 2
    assert dump_database(dsn) == before
    assert before.count("CREATE TABLE") > 20


def test_an_applied_file_that_was_changed_is_refused_and_nothing_is_done(
    clone: Callable[[], str],
) -> None:
    dsn = clone()
    with connect(dsn) as db:
        db.execute("UPDATE app.schema_migrations SET sha256 = repeat('0', 64) WHERE version = 1")
    before = dump_database(dsn)

    refused = engine("db", "migrate", SPEC11_DSN=dsn)

    assert (refused.code, refused.stdout) == (4, "")
    assert refused.stderr == ("spec11-engine db: migration 0001_schema changed since applied\n")
    assert dump_database(dsn) == before


def test_two_at_once_both_succeed_and_one_of_them_did_the_work(
    empty: str, clone: Callable[[], str]
) -> None:
    with ExitStack() as stack:
        holder = stack.enter_context(holding(empty, f"SELECT pg_advisory_lock({LOCK})"))
        both = [
            stack.enter_context(begin_command("db", "migrate", SPEC11_DSN=empty)) for _ in range(2)
        ]
        eventually(lambda: find_value(empty, MIGRATING) == 2, deadline_s=20)
        holder.execute("SELECT pg_advisory_unlock_all()")

        codes = [each.wait(GIVE_UP_S) for each in both]
        said = sorted(each.stdout.read() for each in both if each.stdout is not None)

    assert (codes, said) == ([0, 0], ["applied schema\n", "nothing to apply\n"])
    assert dump_database(empty, "--schema-only") == dump_database(clone(), "--schema-only")


def test_sigkill_in_the_middle_leaves_whole_files_and_the_next_one_finishes(
    empty: str, clone: Callable[[], str]
) -> None:
    with connect(empty) as db:
        db.execute(LEDGER.encode())
    with (
        holding(empty, "LOCK app.schema_migrations IN SHARE MODE"),
        begin_command("db", "migrate", SPEC11_DSN=empty) as killed,
    ):
        backend = eventually(lambda: find_value(empty, BLOCKED), deadline_s=30)
        killed.kill()
        killed.wait()
        with connect(empty) as db:
            db.execute("SELECT pg_terminate_backend(%s, 5000)", (backend,))

    assert find_value(empty, "SELECT to_regclass('app.runs')") is None
    assert find_value(empty, "SELECT count(*) FROM app.schema_migrations") == 0
    finished = engine("db", "migrate", SPEC11_DSN=empty)
    assert (finished.code, finished.stdout) == (0, "applied schema\n")
    assert dump_database(empty, "--schema-only") == dump_database(clone(), "--schema-only")


def test_reset_wants_yes_then_a_database_that_nobody_uses(clone: Callable[[], str]) -> None:
    dsn = clone()
    before = dump_database(dsn)

    doubtful = engine("db", "reset", SPEC11_DSN=dsn)
    with psycopg.connect(dsn, application_name="somebody"):
        used = engine("db", "reset", "--yes", SPEC11_DSN=dsn)
    unharmed = dump_database(dsn)
    done = engine("db", "reset", "--yes", SPEC11_DSN=dsn)

    assert (doubtful.code, "confirm with --yes" in doubtful.stderr) == (2, True)
    assert (used.code, "in use by 1 sessions (somebody)" in used.stderr) == (3, True)
    assert unharmed == before
    assert done.code == 0
    assert find_value(dsn, "SELECT to_regnamespace('app')") is None
    assert find_value(dsn, "SELECT to_regnamespace('dbos')") is None


@pytest.mark.parametrize(
    ("words", "code", "stdout"),
    [
        (("app", "-Atc", "SELECT current_schema()"), 0, "app\n"),
        (("sys", "-Atc", "SELECT current_schema()"), 0, "dbos\n"),
        (("app", "-At", "-v", "n=7", "-c", r"\echo :n"), 0, "7\n"),
        (("app", "-c", "SELECT 1/0"), 1, ""),
        (("app", "--no-such-option"), 1, ""),
        (("nobody", "-c", "SELECT 1"), 2, ""),
    ],
)
def test_psql_gets_its_arguments_and_its_exit_status_counts(
    server: EmbeddedServer, words: tuple[str, ...], code: int, stdout: str
) -> None:
    ended = engine("psql", *words, SPEC11_DSN=server.dsn("engine_template"))

    assert (ended.code, ended.stdout, ended.stderr == "") == (code, stdout, code == 0)


def test_psql_is_told_the_password_where_nobody_else_reads_it(server: EmbeddedServer) -> None:
    seen = r"\! tr '\0' ' ' < /proc/$PPID/cmdline; echo; echo $PGPASSWORD"
    dsn = f"{server.dsn('engine_template')} password=open-sesame"

    ended = engine("psql", "app", "-c", seen, SPEC11_DSN=dsn)

    words, secret = ended.stdout.splitlines()
    assert "dbname=engine_template" in words
    assert "open-sesame" not in words
    assert secret == "open-sesame"  # noqa: S105  # it opens nothing


def test_after_a_reset_migrate_says_what_it_applies(data: Path) -> None:
    words = ("--data-dir", str(data))
    assert engine("db", "migrate", *words).stdout == "nothing to apply\n"  # a copy of the template
    assert engine("db", "reset", "--yes", *words).code == 0

    first, second = (engine("db", "migrate", *words).stdout for _ in range(2))

    assert (first.startswith("applied "), second) == (True, "nothing to apply\n")


def test_a_database_of_another_encoding_is_named(server: EmbeddedServer) -> None:
    with connect(server.dsn("postgres", "postgres")) as admin:
        admin.execute(
            "CREATE DATABASE bytes1 OWNER spec11 ENCODING 'SQL_ASCII' TEMPLATE template0 LOCALE 'C'"
        )

    ended = engine("db", "migrate", SPEC11_DSN=server.dsn("bytes1"))

    assert (ended.code, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert "the database 'bytes1' has encoding SQL_ASCII" in ended.stderr


def test_a_database_whose_clients_read_otherwise_is_read_as_ever(
    server: EmbeddedServer, clone: Callable[[], str]
) -> None:
    dsn = clone()
    name = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
    with connect(server.dsn("postgres", "postgres")) as admin:
        for setting in OTHER_SPELLINGS:
            admin.execute(f"ALTER DATABASE {name} SET {setting}".encode())

    with running_shim(dsn) as shim:
        started = shim.start("größer 日本")
        header = shim.http.get(f"/api/runs/{started.json()['workflowID']}").json()
        intents = shim.rows("SELECT convert_to(json ->> 'goal', 'UTF8') AS goal FROM app.intents")

    assert (started.status_code, header["createdAt"]) == (201, started.json()["createdAt"])
    (goal,) = (bytes(row["goal"]).decode() for row in intents)
    assert goal.startswith("Goal: größer 日本 (")


@pytest.mark.parametrize("words", [("db", "migrate"), ("up", "--port", "0")], ids=" ".join)
def test_a_database_that_is_away_is_one_line(words: tuple[str, ...]) -> None:
    with socket.socket() as bound:  # and nobody listens
        bound.bind(("127.0.0.1", 0))
        away = f"host=127.0.0.1 port={bound.getsockname()[1]} user=me dbname=away"
        ended = engine(*words, SPEC11_DSN=away)

    assert (ended.code, ended.stdout, ended.stderr.count("\n")) == (5, "", 1)
    assert "the database cannot be reached" in ended.stderr
