"""The oracle of a schema: the server refuses writes over its connection."""

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
_READ_ONLY: Final = "-c default_transaction_read_only=on -c search_path={schema},public"


class Reading(NamedTuple):
    """An open transaction, and the server's clock at its begin, in epoch milliseconds."""

    connection: Connection
    now_ms: int


class SqlDoor:
    """One connection of the read-only role; opened at first use, and again if it broke."""

    def __init__(self, source: str, dsn: str) -> None:
        self.source = source
        self.schema = SCHEMAS[source]
        self._dsn = dsn
        self._connection: Connection | None = None
        self._lock = threading.RLock()

    @contextmanager
    def reading(self, reads: Literal["committed", "repeatable"]) -> Iterator[Reading]:
        """A read-only transaction for one caller at a time.

        It reads the clock first; after that no statement can make the transaction writable.
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
        """Close the connection."""
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
        """Its connection. Raises NotProvable when the target has no such database."""
        if self._door is None:
            raise NotProvable(f"this target names no DSN for {self.source}: nothing can be read")
        return self._door

    def rows(self, sql: str, /, **params: Any) -> list[Row]:
        """All rows as dicts by column name; possibly none. Parameters: ``%(name)s``."""
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
        """The only column of the only row. Raises LookupError when there are others or none."""
        row = self.one(sql, **params)
        if len(row) != 1:
            raise LookupError(f"{len(row)} columns instead of one: {sql}")
        return next(iter(row.values()))

    def record_observation(
        self, sql: str, params: Mapping[str, Any], rows: Sequence[Row], now_ms: int
    ) -> None:
        """Record the observation: query, row count, digest of the rows, the server's clock."""
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
    """Superuser SQL on a private stack, to plant faults. The journal records every statement."""

    def __init__(self, dsn: str, record: RecordObservation) -> None:
        self._dsn = dsn
        self._witness = record

    def execute(self, sql: str, /, **params: Any) -> list[Row]:
        """Execute the statement, commit, and return its rows, if any."""
        with psycopg.connect(self._dsn, autocommit=True, row_factory=dict_row) as connection:
            cursor = connection.execute(sql, params or None)
            rows = cursor.fetchall() if cursor.description else []
            facts = {"query": sql, "affected": cursor.rowcount}
        self._witness("provocation", _ref(sql), facts)
        return rows

    def try_statement(self, role: str, statement: str) -> str | int:
        """Try a statement as ``role``; return the constraint that refuses it, or the affected rows.

        The statement is rolled back. Raises psycopg.Error on any other refusal.
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
        """Hold the advisory lock ``key`` in the block, by a session of its own."""
        self._witness("provocation", "advisory lock", {"key": key})
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            connection.execute("SELECT pg_advisory_lock(%s)", (key,))
            yield
