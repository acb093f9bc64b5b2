"""What a database was asked, in order: exact, however fast or slow the machine is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from psycopg.conninfo import conninfo_to_dict

from engine.postgres.server import EmbeddedServer, connect

PREFIX: Final = "~~%d|%a|%p|"  # database, application, backend
RECORD: Final = re.compile(r"(.*?)\|(.*?)\|(\d+)\|(LOG|DETAIL): +(.*)", re.DOTALL)
ASKED: Final = re.compile(r"(?:statement|execute [^:]*): (.*)", re.DOTALL)
OPENS: Final = re.compile(r"BEGIN\b")
CLOSES: Final = re.compile(r"(?:COMMIT|ROLLBACK)\b")


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement with its parameters, and the number of the transaction that it was in."""

    application: str
    text: str
    transaction: int

    def names(self, ids: Sequence[str]) -> bool:
        """Whether one of ``ids`` is in it."""
        return any(each in self.text for each in ids)


class Reader:
    """Makes statements of the records of one database."""

    def __init__(self, database: str) -> None:
        self._database = database
        self._count = 0
        self._open: dict[str, int] = {}  # of each backend: the transaction that it is in

    def read(self, text: str) -> list[Statement]:
        """The statements in ``text``, each with the parameters that follow it."""
        made: list[Statement] = []
        for part in text.split("~~"):
            found = RECORD.fullmatch(part.rstrip("\n"))
            if found is None or found[1] != self._database:
                continue
            _, application, backend, kind, said = found.groups()
            if kind == "DETAIL" and made:
                made[-1] = replace(made[-1], text=f"{made[-1].text}\n{said}")
            elif asked := ASKED.fullmatch(said):
                made += self._statement(application, backend, asked[1])
        return made

    def _statement(self, application: str, backend: str, text: str) -> Iterator[Statement]:
        if CLOSES.match(text):
            self._open.pop(backend, None)
            return
        if backend not in self._open:
            self._count += 1
        if OPENS.match(text):
            self._open[backend] = self._count
        else:
            yield Statement(application, text, self._open.get(backend, self._count))


@dataclass(frozen=True, slots=True)
class StatementLog:
    """The log of a server, of which the records about one database are read."""

    path: Path
    database: str

    @classmethod
    def open(cls, server: EmbeddedServer, dsn: str) -> StatementLog:
        """Make the server log every statement that sessions begun from now on send to ``dsn``."""
        name = str(conninfo_to_dict(dsn)["dbname"])
        with connect(server.dsn("postgres", "postgres")) as admin:
            admin.execute(f"ALTER SYSTEM SET log_line_prefix = '{PREFIX}'")
            admin.execute("SELECT pg_reload_conf()")
            admin.execute(f"ALTER DATABASE {name} SET log_statement = 'all'")
        return cls(server.place.log, name)

    def record(self, work: Callable[[], object]) -> list[Statement]:
        """What was asked while ``work`` was done: a server logs a statement before it runs it."""
        start = self.path.stat().st_size
        work()
        with self.path.open("rb") as log:
            log.seek(start)
            return Reader(self.database).read(log.read().decode(errors="replace"))
