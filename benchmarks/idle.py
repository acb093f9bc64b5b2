"""What one worker costs that has nothing to do: statements, writes and processor time a second.

The server logs every statement of this database; its lines are counted. A transaction that writes
has a number (an xid), so numbers used up are commits that wrote. Autovacuum, which writes on its
own account, is off meanwhile.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import psycopg

from benchmarks import lab
from benchmarks.figures import LOWER, Effort, Figure, Figures, Measurement, Row
from engine.postgres.server import EmbeddedServer, connect

WINDOWS: Final = 3
WINDOW_S: Final = 10.0
SETTLE_S: Final = 5.0
STATEMENTS: Final = Row(
    name="idle-statements", title="idle worker: statements", unit="/s", better=LOWER, goal=20
)
WRITES: Final = Row(
    name="idle-writes", title="idle worker: commits that write", unit="/s", better=LOWER, goal=0
)
WAL: Final = Row(name="idle-wal", title="idle worker: WAL", unit="B/s", better=LOWER)
CPU: Final = Row(
    name="idle-cpu", title="idle worker: processor time", unit="% of a core", better=LOWER, goal=1.5
)
LOGGED: Final = re.compile(rb"duration: [\d.]+ ms  (?:statement|execute )")
MARKS: Final = """
SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint,
       pg_current_wal_insert_lsn() - '0/0'::pg_lsn
"""


@dataclass(frozen=True, slots=True)
class _Marks:
    """Counters that only grow."""

    at: float
    statements: int
    writes: int
    wal: int
    cpu_s: float


def measure(effort: Effort) -> Figures:
    """The worker alone on its database; nobody else asks anything of it."""
    windows, window_s = effort.count_rounds(WINDOWS), effort.scale(int(WINDOW_S))
    with lab.postgres() as server, connect(server.dsn("postgres", "postgres")) as admin:
        admin.execute("ALTER SYSTEM SET autovacuum = off")
        admin.execute("SELECT pg_reload_conf()")
        dsn = lab.create_database(server, "idle")
        admin.execute("ALTER DATABASE idle SET log_min_duration_statement = 0")
        with lab.start_worker(dsn) as worker:
            meter = _Meter(server, admin, worker)
            time.sleep(min(SETTLE_S, window_s))
            marks = [meter.read()]
            for _ in range(windows):
                time.sleep(window_s)
                marks.append(meter.read())
    return {
        row.name: Figure.from_rounds([_rate(*span, field) * factor for span in pairwise(marks)])
        for row, field, factor in (
            (STATEMENTS, "statements", 1),
            (WRITES, "writes", 1),
            (WAL, "wal", 1),
            (CPU, "cpu_s", 100),
        )
    }


def _rate(begin: _Marks, end: _Marks, field: str) -> float:
    return float((getattr(end, field) - getattr(begin, field)) / (end.at - begin.at))


class _Meter:
    """Reads all counters, from outside of what is measured."""

    def __init__(
        self, server: EmbeddedServer, admin: psycopg.Connection[Any], worker: lab.Process
    ) -> None:
        self._server = server
        self._admin = admin
        self._worker = worker

    def read(self) -> _Marks:
        """The counters now."""
        writes, wal = self._admin.execute(MARKS).fetchone() or (0, 0)
        return _Marks(
            at=time.monotonic(),
            statements=len(LOGGED.findall(self._server.place.log.read_bytes())),
            writes=writes,
            wal=int(wal),
            cpu_s=self._worker.cpu_s(),
        )


MEASUREMENT: Final = Measurement(name="idle", rows=(STATEMENTS, WRITES, WAL, CPU), measure=measure)
