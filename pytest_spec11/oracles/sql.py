"""A schema of the database as a witness: the server itself refuses writes from here."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import dict_row
from psycopg.sql import SQL, Identifier

from pytest_spec11.errors import NotProvable
from pytest_spec11.oracles.witness import RecordObservation, Witness, fingerprint, without_password

Row: TypeAlias = dict[str, Any]
Connection: TypeAlias = psycopg.Connection[Row]

SCHEMAS: Final = {"sql:app": "app", "sql:sys": "dbos"}
_CLOCK: Final = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now_ms"
_BEGIN: Final = {
    "committed": "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY",
    "repeatable": "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
}
_READ_ONLY: Final = "-c default_transaction_read_only=on -c search_path={schema}"


class Reading(NamedTuple):
    """A transaction under way and the server's clock at its beginning, epoch milliseconds."""

    connection: Connection
    now_ms: int


class SqlDoor:
    """One connection of the read-only role; opened at first use, reopened once it broke."""

    def __init__(self, source: str, dsn: str) -> None:
        self.source = source
        self.schema = SCHEMAS[source]
        self._dsn = dsn
        self._connection: Connection | None = None
        self._lock = threading.RLock()

    @contextmanager
    def reading(self, reads: Literal["committed", "repeatable"]) -> Iterator[Reading]:
        """A transaction that the server lets only read, for one caller at a time.

        It has read the clock before anything else, so no statement can make it a writing one.
        """
        with self._lock:
            if self._connection is None or self._connection.closed:
                self._connection = self._connect()
            connection = self._connection
            connection.execute(_BEGIN[reads])
            try:
                yield Reading(connection, _clock_ms(connection))
                if connection.info.transaction_status != TransactionStatus.INTRANS:
                    raise psycopg.ProgrammingError("the statement ended the transaction it ran in")
            finally:
                if not connection.closed:
                    connection.rollback()

    def _connect(self) -> Connection:
        given = psycopg.conninfo.conninfo_to_dict(self._dsn).get("options") or ""
        options = f"{given} {_READ_ONLY.format(schema=self.schema)}".strip()
        name = f"spec11 {self.source}"
        return psycopg.connect(
            self._dsn, autocommit=True, row_factory=dict_row, options=options, application_name=name
        )

    def close(self) -> None:
        """The connection is closed."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None


class Sql:
    """Facts of one schema (``sql:app`` or ``sql:sys``). Reads; never writes, retries or rounds."""

    def __init__(self, door: SqlDoor | None, source: str, witness: Witness) -> None:
        self.source = source
        self._door = door
        self._witness = witness

    @property
    def door(self) -> SqlDoor:
        """The connection behind it. Raises NotProvable when the target names no such database."""
        if self._door is None:
            raise NotProvable(f"this target names no DSN for {self.source}: nothing can be read")
        return self._door

    def rows(self, sql: str, /, **params: Any) -> list[Row]:
        """All rows, as dicts by column name, none included. Parameters: ``%(name)s``."""
        try:
            with self.door.reading("committed") as reading:
                rows = reading.connection.execute(sql, params).fetchall()
        except psycopg.Error as error:
            self._record_failure(sql, params, error)
            raise
        rows = self.pass_on(sql, rows)
        self.record_observation(sql, params, rows, reading.now_ms)
        return rows

    def pass_on(self, sql: str, rows: list[Row]) -> list[Row]:
        """The rows as the test gets them; see the witness."""
        passed: list[Row] = self._witness.pass_on(self.source, _ref(sql), rows)
        return passed

    def _record_failure(self, sql: str, params: Mapping[str, Any], error: psycopg.Error) -> None:
        said = without_password(f"{type(error).__name__}: {error}")
        facts = {**_describe_query(sql, params), "error": said}
        self._witness(self.source, _ref(sql), facts, empty=True)

    def one(self, sql: str, /, **params: Any) -> Row:
        """The only row. Raises LookupError when there are none or several."""
        rows = self.rows(sql, **params)
        if len(rows) != 1:
            raise LookupError(f"{len(rows)} rows instead of one: {sql}")
        return rows[0]

    def value(self, sql: str, /, **params: Any) -> Any:
        """The only column of the only row. Raises LookupError when there is another number."""
        row = self.one(sql, **params)
        if len(row) != 1:
            raise LookupError(f"{len(row)} columns instead of one: {sql}")
        return next(iter(row.values()))

    def record_observation(
        self, sql: str, params: Mapping[str, Any], rows: Sequence[Row], now_ms: int
    ) -> None:
        """The reading is on record: query, row count, digest of the rows, the server's clock."""
        body = json.dumps(rows, default=str, ensure_ascii=False, sort_keys=True).encode()
        facts = {
            **_describe_query(sql, params),
            "rows": len(rows),
            "rowsSha256": fingerprint(body),
            "databaseMs": now_ms,
        }
        self._witness(self.source, _ref(sql), facts, body=body, empty=not rows)


def _describe_query(sql: str, params: Mapping[str, Any]) -> dict[str, Any]:
    return {"query": sql, "params": {name: repr(each) for name, each in params.items()}}


def _ref(sql: str) -> str:
    return " ".join(sql.split())[:80]


def _clock_ms(connection: Connection) -> int:
    return int(connection.execute(_CLOCK).fetchall()[0]["now_ms"])


class Admin:
    """Superuser SQL on a private stack, to plant faults. Every statement is on record."""

    def __init__(self, dsn: str, record: RecordObservation) -> None:
        self._dsn = dsn
        self._witness = record

    def execute(self, sql: str, /, **params: Any) -> list[Row]:
        """The rows, if the statement gives any; committed at once."""
        with psycopg.connect(self._dsn, autocommit=True, row_factory=dict_row) as connection:
            cursor = connection.execute(sql, params or None)
            rows = cursor.fetchall() if cursor.description else []
            facts = {"query": sql, "affected": cursor.rowcount}
        self._witness("provocation", _ref(sql), facts)
        return rows

    def try_statement(self, role: str, statement: str) -> str | int:
        """What ``role`` gets for a statement: the constraint that refuses it, else rows affected.

        Nothing of the statement stays. Raises psycopg.Error on any other refusal.
        """
        with psycopg.connect(self._dsn) as connection:
            connection.execute(SQL("SET ROLE {}").format(Identifier(role)))
            try:
                got: str | int = connection.execute(statement.encode()).rowcount
            except psycopg.IntegrityError as refusal:
                got = refusal.diag.constraint_name or type(refusal).__name__
            connection.rollback()
        facts = {"query": statement, "role": role, "got": got}
        self._witness("provocation", _ref(statement), facts)
        return got

    @contextmanager
    def holding(self, key: int) -> Iterator[None]:
        """The block runs while a session of ours holds the advisory lock ``key``."""
        self._witness("provocation", "advisory lock", {"key": key})
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            connection.execute("SELECT pg_advisory_lock(%s)", (key,))
            yield
