"""Faults of the family ``sql.*``: triggers, constraints and rows that a superuser plants."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from typing_extensions import override

from pytest_spec11.saboteurs.saboteur import Saboteur

if TYPE_CHECKING:  # a run without a fault of this family does not load psycopg
    import psycopg

# A sequence, because it also counts rolled-back hits, and snapshots do not compare it.
_COUNTER: Final = """
CREATE SCHEMA IF NOT EXISTS saboteur;
CREATE SEQUENCE IF NOT EXISTS saboteur.{name};
GRANT USAGE ON SCHEMA saboteur TO PUBLIC;
GRANT ALL ON SEQUENCE saboteur.{name} TO PUBLIC;
"""
_COUNT: Final = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM saboteur.{name}"


class SqlSaboteur(Saboteur):
    """A script that runs first, as superuser, in each stack's database.

    ``{hit}`` in it is an SQL expression that counts one hit. ``needs`` may name a schema: in a
    database without it the script does not run.
    """

    def __init__(
        self,
        id_: str,
        does: str,
        script: str,
        expected: Mapping[str, str] | None = None,
        *,
        needs: str = "",
    ) -> None:
        super().__init__(id_, does, expected)
        self._script = script
        self._needs = needs
        self._counts: dict[str, int] = {}

    @property
    def _sequence(self) -> str:
        return self.id.partition(".")[2].replace("-", "_")

    @override
    def plant_in_database(self, dsn: str) -> None:
        """Plant the fault in that database."""
        with _superuser(dsn) as connection:
            if self._needs and not _has_schema(connection, self._needs):
                return
            counter = _COUNTER.format(name=self._sequence)
            connection.execute(counter.encode())
            connection.execute(self._fill_script(self._script))
        self._counts[dsn] = 0

    @override
    def leave_database(self, dsn: str) -> None:
        """Add the hits of that database."""
        if dsn in self._counts:
            self._hits += self._count(dsn)
            del self._counts[dsn]

    @override
    def count_hits(self) -> int:
        """The number of hits in all databases."""
        return self._hits + sum(self._count(dsn) for dsn in self._counts)

    def _fill_script(self, text: str) -> bytes:
        return text.replace("{hit}", f"nextval('saboteur.{self._sequence}')").encode()

    def _count(self, dsn: str) -> int:
        with _superuser(dsn) as connection:
            row = connection.execute(_COUNT.format(name=self._sequence).encode()).fetchone()
        return int(str(row[0])) if row else 0


def _has_schema(connection: psycopg.Connection[tuple[object, ...]], name: str) -> bool:
    row = connection.execute("SELECT to_regnamespace(%s)", (name,)).fetchone()
    return row is not None and row[0] is not None


def _superuser(dsn: str) -> psycopg.Connection[tuple[object, ...]]:
    import psycopg  # noqa: PLC0415  # see TYPE_CHECKING

    return psycopg.connect(dsn, autocommit=True, application_name="saboteur")


class StandingFault(SqlSaboteur):
    """A script whose effect stays for every later test."""

    lasting: ClassVar[bool] = True


@dataclass(frozen=True)
class Tick:
    """A statement to repeat, and the pause between."""

    statement: str
    every_s: float


class RestlessFault(SqlSaboteur):
    """A script, and a statement that a session of its own repeats until the database is dropped."""

    def __init__(  # noqa: PLR0913  # those of every fault, and the tick
        self,
        id_: str,
        does: str,
        script: str,
        tick: Tick,
        expected: Mapping[str, str] | None = None,
        *,
        needs: str = "",
    ) -> None:
        super().__init__(id_, does, script, expected, needs=needs)
        self._tick = tick
        self._ends: dict[str, tuple[threading.Thread, threading.Event]] = {}

    @override
    def plant_in_database(self, dsn: str) -> None:
        super().plant_in_database(dsn)
        if dsn in self._counts:
            over = threading.Event()
            thread = threading.Thread(target=self._run, args=(dsn, over), daemon=True)
            self._ends[dsn] = (thread, over)
            thread.start()

    @override
    def leave_database(self, dsn: str) -> None:
        if dsn in self._ends:
            thread, over = self._ends.pop(dsn)
            over.set()
            thread.join()
        super().leave_database(dsn)

    def _run(self, dsn: str, over: threading.Event) -> None:
        statement = self._fill_script(self._tick.statement)
        with _superuser(dsn) as connection:
            while not over.wait(self._tick.every_s):
                connection.execute(statement)
