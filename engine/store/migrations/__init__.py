"""Migrates a database to the newest schema: numbered files, one transaction each, a ledger (D8).

A repeat changes nothing. Two migrations at once take turns. A crash leaves only whole files. A file
that was changed after it was applied is refused.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib import resources
from typing import Any, Final, LiteralString

import psycopg
from psycopg import conninfo

from engine.errors import EngineError, InUse, Misconfigured, Unreachable
from engine.store.dsn import spell_plainly

DBOS_SCHEMA: Final = 125  # rows of dbos' own ledger with the pinned dbos; a test compares
LOCK: Final = 0x5EC11
TURN_S: Final = 300.0
GOING_S: Final = 2.0
LOOK_EVERY_S: Final = 0.05
NAME: Final = re.compile(r"(\d{4})_(\w+)\.sql")
READER: Final = "spec11_reader"
ENCODING: Final = "UTF8"

OTHERS: Final = """
SELECT coalesce(nullif(application_name, ''), 'no name') FROM pg_stat_activity
WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()
      AND application_name <> 'spec11-migrate'
"""
LEDGER: Final = """
CREATE SCHEMA IF NOT EXISTS app;
CREATE TABLE IF NOT EXISTS app.schema_migrations (
    version integer CONSTRAINT schema_migrations_pkey PRIMARY KEY,
    name text NOT NULL,
    sha256 text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
)
"""


class Refused(EngineError):
    """The database cannot be migrated as it is."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: its number, its name and its text."""

    version: int
    name: str
    text: LiteralString

    @property
    def digest(self) -> str:
        """sha256 of the text, as the ledger keeps it."""
        return sha256(self.text.encode()).hexdigest()


def files() -> list[Migration]:
    """Every migration of this code, in order."""
    found = []
    for item in resources.files(__package__).iterdir():
        if match := NAME.fullmatch(item.name):
            text = item.read_text(encoding="utf-8")
            found.append(Migration(int(match[1]), match[2], text))
    return sorted(found, key=lambda each: each.version)


@cache
def newest() -> int:
    """The number of the newest migration: the wanted version of schema app."""
    return files()[-1].version


def migrate(dsn: str) -> list[str]:
    """Apply missing files, each all or nothing; return their names.

    Raises Refused, Misconfigured for another encoding, Unreachable.
    """
    with _alone(dsn) as connection:
        if _dbos_is_behind(connection):
            _migrate_dbos(dsn)
        connection.execute(LEDGER)
        applied = [each.name for each in files() if _apply(connection, each)]
        _let_read(connection)
        return applied


def reset(dsn: str) -> None:
    """Drop both schemas with everything in them. Raises InUse while others are connected."""
    with _alone(dsn) as connection:
        end = time.monotonic() + GOING_S
        while others := connection.execute(OTHERS).fetchall():
            if time.monotonic() > end:
                names = ", ".join(sorted({str(name) for (name,) in others}))
                raise InUse(f"the database is in use by {len(others)} sessions ({names})")
            time.sleep(LOOK_EVERY_S)  # noqa: TID251  # bounded: sessions that just ended
        connection.execute("DROP SCHEMA IF EXISTS app, dbos CASCADE")


@contextmanager
def _alone(dsn: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection that holds the one lock under which schemas change. Raises InUse.

    It tries the lock again and again. It does not wait within a statement, because dbos creates
    indexes concurrently, and that waits for every running statement.
    """
    with _connect(spell_plainly(dsn)) as connection:
        _require_encoding(connection)
        end = time.monotonic() + TURN_S
        while not _scalar(connection, "SELECT pg_try_advisory_lock(%s)", LOCK):
            if time.monotonic() > end:
                raise InUse(f"another migration has been running for {TURN_S:g} s")
            time.sleep(LOOK_EVERY_S)  # noqa: TID251  # bounded, see above
        yield connection


def _connect(dsn: str) -> psycopg.Connection[Any]:
    """An autocommit connection. Raises Unreachable."""
    try:
        return psycopg.connect(dsn, autocommit=True, application_name="spec11-migrate")
    except psycopg.OperationalError as error:
        raise Unreachable(f"the database cannot be reached: {error}") from error


def _require_encoding(connection: psycopg.Connection[Any]) -> None:
    """Raises Misconfigured for a database that cannot hold every text."""
    found = _scalar(connection, "SHOW server_encoding")
    if found != ENCODING:
        raise Misconfigured(
            f"the database {connection.info.dbname!r} has encoding {found}:"
            f" make one with ENCODING '{ENCODING}'"
        )


def _scalar(connection: psycopg.Connection[Any], query: LiteralString, *values: object) -> Any:
    row = connection.execute(query, values).fetchone()
    return row[0] if row else None


def _apply(connection: psycopg.Connection[Any], migration: Migration) -> bool:
    """Apply the file; False if it was applied before. Raises Refused."""
    with connection.transaction():
        known = connection.execute(
            "SELECT sha256 FROM app.schema_migrations WHERE version = %s", (migration.version,)
        ).fetchone()
        if known is None:
            connection.execute(migration.text)
            connection.execute(
                "INSERT INTO app.schema_migrations (version, name, sha256) VALUES (%s, %s, %s)",
                (migration.version, migration.name, migration.digest),
            )
            return True
    if known[0] != migration.digest:
        raise Refused(f"migration {migration.version:04}_{migration.name} changed since applied")
    return False


def _dbos_is_behind(connection: psycopg.Connection[Any]) -> bool:
    """Whether the durable engine's schema or its checkpoint table is missing."""
    for ledger in ("dbos.dbos_migrations", "app.dbos_datasource_migrations"):
        if _scalar(connection, "SELECT to_regclass(%s)", ledger) is None:
            return True
    at = _scalar(connection, "SELECT coalesce(max(version), 0) FROM dbos.dbos_migrations")
    return bool(at < DBOS_SCHEMA)


def _migrate_dbos(dsn: str) -> None:
    """Create the durable engine's schema, and its checkpoint table in schema app."""
    from dbos import run_dbos_database_migrations  # noqa: PLC0415  # 1.5 s, only when behind
    from dbos._datasource_migration import migrate_datasource_database  # noqa: PLC0415  # as above

    url = sqlalchemy_url(dsn)
    run_dbos_database_migrations(url)
    migrate_datasource_database(url, "app", None)


def sqlalchemy_url(dsn: str) -> str:
    """``dsn`` as SQLAlchemy writes it, for psycopg 3."""
    from sqlalchemy import URL  # noqa: PLC0415  # the api-shim never needs it

    given = conninfo.conninfo_to_dict(dsn)
    names = {"user", "password", "dbname"}
    query = {key: str(value) for key, value in given.items() if key not in names}
    url = URL.create(
        "postgresql+psycopg",
        username=_text(given.get("user")),
        password=_text(given.get("password")),
        database=_text(given.get("dbname")),
        query=query,
    )
    return url.render_as_string(hide_password=False)


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _let_read(connection: psycopg.Connection[Any]) -> None:
    """Let the reading role, if it exists, read both schemas, also their later tables."""
    if _scalar(connection, "SELECT 1 FROM pg_roles WHERE rolname = %s", READER) is None:
        return
    for schema in ("app", "dbos"):
        connection.execute(f"GRANT USAGE ON SCHEMA {schema} TO {READER}")
        for kind in ("TABLES", "SEQUENCES"):
            grant = f"GRANT SELECT ON {{}} {kind} {{}} TO {READER}"
            connection.execute(grant.format("ALL", f"IN SCHEMA {schema}"))
            connection.execute(
                f"ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} {grant.format('', '')}"
            )
