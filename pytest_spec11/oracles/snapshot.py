"""Snapshots of a whole database as digests: two equal snapshots mean that nobody wrote.

A snapshot has the row count of every table outside the system catalogs, and a hash over all its
rows as sorted text with ``xmin``. So an update to equal values counts as a write (zero writes).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from psycopg import sql

from pytest_spec11.oracles.sql import Connection, Row, Sql

_TABLES: Final = """
SELECT n.nspname AS schema, c.relname AS name
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
ORDER BY 1, 2
"""
_ALL_TABLES: Final = "snapshot of every table"
_SEQUENCES: Final = """
SELECT schemaname || '.' || sequencename AS name, last_value FROM pg_sequences ORDER BY 1
"""
_DIGEST: Final = """
SELECT {label} AS name, count(*) AS rows,
    encode(sha256(convert_to(
        coalesce(string_agg(line, E'\\n' ORDER BY line COLLATE "C"), ''), 'UTF8')), 'hex') AS sha256
FROM (SELECT t.xmin::text || ' ' || t::text AS line FROM {table} AS t) AS lines
"""


@dataclass(frozen=True)
class Snapshot:
    """Row count and digest by table. It records sequences but does not compare them."""

    tables: Mapping[str, tuple[int, str]]
    sequences: Mapping[str, int | None] = field(compare=False)

    @property
    def rows(self) -> int:
        """The number of all rows; 0 means that equality proves nothing."""
        return sum(count for count, _ in self.tables.values())

    def changes(self, later: Snapshot) -> list[str]:
        """The tables that differ, each with its change; empty if equal."""
        names = sorted({*self.tables, *later.tables})
        return [
            _change(name, self.tables.get(name), later.tables.get(name))
            for name in names
            if self.tables.get(name) != later.tables.get(name)
        ]


def take(witness: Sql, *, but: Mapping[str, str] | None = None) -> Snapshot:
    """Take a snapshot of the oracle's schema in one repeatable-read transaction.

    ``but`` names tables to leave out (``app.executors``), each with a reason for the journal.
    """
    left_out = but or {}
    with witness.door.reading("repeatable") as reading:
        found = _tables(reading.connection, witness)
        rows = _digests(
            reading.connection, [each for each in found if _quote_name(each) not in left_out]
        )
        sequences = reading.connection.execute(_SEQUENCES).fetchall()
    rows = witness.pass_on(_ALL_TABLES, rows)
    witness.record_observation(_ALL_TABLES, {"but": dict(left_out)}, rows, reading.now_ms)
    return Snapshot(
        {row["name"]: (row["rows"], row["sha256"]) for row in rows},
        {row["name"]: row["last_value"] for row in sequences},
    )


def control(*witnesses: Sql, but: Mapping[str, str] | None = None) -> list[str]:
    """Changes between two snapshots with nothing in between; if any, zero writes prove nothing."""
    return [
        change
        for witness in witnesses
        for change in take(witness, but=but).changes(take(witness, but=but))
    ]


@contextmanager
def assert_unchanged(*witnesses: Sql, but: Mapping[str, str] | None = None) -> Iterator[None]:
    """Check that the block wrote nothing. Raises AssertionError that names the tables.

    The control runs first: a table that changes by itself would make the comparison void.
    """
    before = [take(witness, but=but) for witness in witnesses]
    restless = _all_changes(before, [take(witness, but=but) for witness in witnesses])
    assert restless == [], "void: tables change by themselves"  # noqa: S101  # the claim itself
    yield
    written = _all_changes(before, [take(witness, but=but) for witness in witnesses])
    assert written == [], "tables were written"  # noqa: S101  # the claim itself


def _all_changes(before: list[Snapshot], after: list[Snapshot]) -> list[str]:
    return [
        change
        for earlier, later in zip(before, after, strict=True)
        for change in earlier.changes(later)
    ]


def _change(name: str, before: tuple[int, str] | None, after: tuple[int, str] | None) -> str:
    if before is None or after is None:
        return f"{name}: {'appeared' if before is None else 'vanished'}"
    if before[0] != after[0]:
        return f"{name}: {before[0]} rows became {after[0]}"
    return f"{name}: rows were rewritten, still {after[0]}"


def _tables(connection: Connection, witness: Sql) -> list[tuple[str, str]]:
    """The oracle's tables: the sys oracle has the engine's schema, the app oracle all others."""
    found = [(row["schema"], row["name"]) for row in connection.execute(_TABLES).fetchall()]
    ours = [each for each in found if (each[0] == "dbos") == (witness.source == "sql:sys")]
    return ours or found


def _digests(connection: Connection, names: list[tuple[str, str]]) -> list[Row]:
    if not names:
        return []
    each = [
        sql.SQL(_DIGEST).format(label=sql.Literal(_quote_name(name)), table=sql.Identifier(*name))
        for name in names
    ]
    return connection.execute(sql.SQL(" UNION ALL ").join(each)).fetchall()


def _quote_name(name: tuple[str, str]) -> str:
    return ".".join(name)
