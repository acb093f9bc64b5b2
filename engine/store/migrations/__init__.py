"""Brings a database to the newest schema: numbered files, one transaction each, a ledger (D8).

Repeating it changes nothing, two at once take turns, a crash leaves whole files only, and a file
that was changed after it was applied is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from importlib import resources
from typing import Any, Final, LiteralString

import psycopg
from psycopg import conninfo

from engine.errors import EngineError

DBOS_SCHEMA: Final = 125  # rows of dbos' own ledger with the pinned dbos; a test compares
LOCK: Final = 0x5EC11
NAME: Final = re.compile(r"(\d{4})_(\w+)\.sql")
READER: Final = "spec11_reader"

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
    """Every migration that ships with this code, in order."""
    found = []
    for item in resources.files(__package__).iterdir():
        if match := NAME.fullmatch(item.name):
            text = item.read_text(encoding="utf-8")
            found.append(Migration(int(match[1]), match[2], text))
    return sorted(found, key=lambda each: each.version)


def migrate(dsn: str) -> list[str]:
    """The names of what was applied now. Raises Refused; each file is all or nothing."""
    with _alone(dsn) as connection:
        if _dbos_version(connection) < DBOS_SCHEMA:
            _migrate_dbos(dsn)
        connection.execute(LEDGER)
        applied = [each.name for each in files() if _apply(connection, each)]
        _let_read(connection)
        return applied


@contextmanager
def _alone(dsn: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection that holds the one lock under which schemas change."""
    with psycopg.connect(dsn, autocommit=True, application_name="spec11-migrate") as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
        yield connection


def _apply(connection: psycopg.Connection[Any], migration: Migration) -> bool:
    """Whether the file was applied now; False when it already was. Raises Refused."""
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


def _dbos_version(connection: psycopg.Connection[Any]) -> int:
    """How far dbos' own ledger is; 0 when there is none."""
    there = connection.execute("SELECT to_regclass('dbos.dbos_migrations')").fetchone()
    if there is None or there[0] is None:
        return 0
    row = connection.execute(
        "SELECT coalesce(max(version), 0) FROM dbos.dbos_migrations"
    ).fetchone()
    return int(row[0]) if row else 0


def _migrate_dbos(dsn: str) -> None:
    """The durable engine's schema and its checkpoint table in ours."""
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
    """The reading role sees both schemas, when the server has that role."""
    known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (READER,)).fetchone()
    if known is None:
        return
    for schema in ("app", "dbos"):
        connection.execute(f"GRANT USAGE ON SCHEMA {schema} TO {READER}")
        connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {READER}")
