"""Which queues have something to claim, over a connection that is asked many times a second."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

import psycopg

from engine.store import sql
from engine.store.pool import CONNECT_S

WAITING: Final = sql.load("queues")["waiting"]


class Backlog:
    """For one thread at a time; the connection is opened when needed, and anew when it is lost."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._line: psycopg.Connection[tuple[Any, ...]] | None = None

    def waiting(self, names: Collection[str]) -> frozenset[str]:
        """Those of the queues in which a workflow waits to be claimed. Raises psycopg.Error."""
        if self._line is None:
            self._line = psycopg.connect(
                self._dsn, autocommit=True, prepare_threshold=0, connect_timeout=CONNECT_S
            )
        try:
            return frozenset(name for (name,) in self._line.execute(WAITING, {"names": [*names]}))
        except psycopg.Error:
            self.close()
            raise

    def close(self) -> None:
        """The connection is closed."""
        if self._line is not None:
            self._line.close()
            self._line = None
