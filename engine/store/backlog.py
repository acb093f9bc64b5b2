"""Finds queues with work, over a connection that listens for changes."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from typing import Any, Final

import psycopg

from engine.store import sql
from engine.store.pool import CONNECT_S

WAITING: Final = sql.load("queues")["waiting"]
LISTEN: Final = "LISTEN spec11_queues"


class Backlog:
    """For one thread at a time. It opens its connection when needed, and again after a loss.

    It listens before its first look, so it misses no later signal.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._line: psycopg.Connection[tuple[Any, ...]] | None = None

    def find_waiting(self, names: Collection[str]) -> frozenset[str]:
        """The queues in which a workflow waits. Raises psycopg.Error."""
        try:
            found = self._connection().execute(WAITING, {"names": [*names]})
            return frozenset(name for (name,) in found)
        except psycopg.Error:
            self.close()
            raise

    def wait_for_signal(self, timeout_s: float) -> None:
        """Return when something was enqueued since the last look began, or after the timeout.

        Raises psycopg.Error.
        """
        try:
            deque(self._connection().notifies(timeout=timeout_s, stop_after=1), maxlen=0)
        except psycopg.Error:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        if self._line is not None:
            self._line.close()
            self._line = None

    def _connection(self) -> psycopg.Connection[tuple[Any, ...]]:
        if self._line is None:
            self._line = psycopg.connect(
                self._dsn, autocommit=True, prepare_threshold=0, connect_timeout=CONNECT_S
            )
            self._line.execute(LISTEN)
        return self._line
