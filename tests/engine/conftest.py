"""One throw-away server a session, one migrated template; a clone of it for whoever asks.

Servers of a test's own run on ``data``: the account that runs Postgres for root may enter it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest

from engine.postgres.server import EmbeddedServer, connect
from engine.usecases import bootstrap
from tests.engine.postgres_process import Postgres
from tests.engine.processes import find_processes, nothing_is_left
from tests.engine.shim_process import Shim, running_shim

MEMORY = Path("/dev/shm")  # noqa: S108  # a fresh private directory is made in it
TEMPLATE = "engine_template"
NUMBERS = count()


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedServer]:
    """A running server with the migrated database ``TEMPLATE``."""
    with EmbeddedServer() as running:
        with connect(running.dsn("postgres", "postgres")) as admin:
            admin.execute("CREATE ROLE spec11 LOGIN")
            admin.execute("CREATE ROLE spec11_reader LOGIN")
            admin.execute(f"CREATE DATABASE {TEMPLATE} OWNER spec11")
        bootstrap.migrate(running.dsn(TEMPLATE))
        yield running


@pytest.fixture(scope="session")
def clone(server: EmbeddedServer) -> Callable[[], str]:
    """Makes a fresh copy of the migrated database and says how to reach it."""

    def make() -> str:
        name = f"engine_{next(NUMBERS)}"
        with connect(server.dsn("postgres", "postgres")) as admin:
            admin.execute(
                f"CREATE DATABASE {name} OWNER spec11 TEMPLATE {TEMPLATE} STRATEGY file_copy"
            )
        return server.dsn(name)

    return make


@pytest.fixture(scope="module")
def shim(clone: Callable[[], str]) -> Iterator[Shim]:
    """An api-shim on a database of this module; tests use goals of their own."""
    with running_shim(clone()) as running:
        yield running


@pytest.fixture
def own_shim(clone: Callable[[], str]) -> Iterator[Shim]:
    """An api-shim and a database of this test alone."""
    with running_shim(clone()) as running:
        yield running


@pytest.fixture(scope="module")
def directories() -> Iterator[Path]:
    """Where this module's data directories are; in memory when there is such a place."""
    place = MEMORY if os.access(MEMORY, os.W_OK) else None
    made = Path(tempfile.mkdtemp(prefix="spec11-test-", dir=place))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def data(directories: Path) -> Iterator[Path]:
    """A data directory of this test alone; at last nothing works on it."""
    parent = Path(tempfile.mkdtemp(dir=directories))
    parent.chmod(0o711)
    made = parent / "data"
    yield made
    try:
        nothing_is_left(made, within_s=10)
    finally:  # also when the engine itself fails to
        for process in find_processes(made):
            process.kill()


@pytest.fixture
def postgres(data: Path) -> Iterator[Postgres]:
    """A server of this test alone."""
    with ExitStack() as until_the_end:
        yield Postgres(data, until_the_end)
