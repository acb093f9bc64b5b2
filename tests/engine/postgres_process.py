"""A Postgres server of one test alone: killed, frozen, begun again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from engine.config import Config
from engine.postgres.server import EmbeddedServer
from engine.usecases import cluster
from pytest_spec11.waiting import eventually
from tests.engine.processes import postmaster


class Postgres:
    """A server on a directory of its own that can be killed, frozen and begun again."""

    def __init__(self, data: Path, until_the_end: ExitStack) -> None:
        self._data = data
        self._until_the_end = until_the_end
        cache = Config.from_env({}).folders.cache
        self._server = until_the_end.enter_context(cluster.running(data, cache))
        self.dsn = cluster.database(self._server.place)

    def kill(self) -> None:
        """SIGKILL of the postmaster; it has ended."""
        postmaster(self._data).kill()
        eventually(lambda: self._server.exit_code is not None, deadline_s=5)
        self._server.stop()

    def begin(self) -> None:
        """A server answers again on the same directory."""
        self._server = self._until_the_end.enter_context(EmbeddedServer(data=self._data))

    @contextmanager
    def freeze(self) -> Iterator[None]:
        """Every process of the server is stopped for as long: connections open, nobody answers."""
        first = postmaster(self._data)
        everyone = [first, *first.children(recursive=True)]
        for each in everyone:
            each.suspend()
        try:
            yield
        finally:
            for each in everyone:
                each.resume()
