"""One throw-away server a session, one migrated template, one clone of it a test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import count

import psycopg
import pytest

from engine.postgres.server import EmbeddedServer, connected
from engine.usecases import bootstrap

TEMPLATE = "api_template"
NUMBERS = count()


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedServer]:
    """A running server with the migrated database ``TEMPLATE``."""
    with EmbeddedServer() as running:
        with connected(running.dsn("postgres", "postgres")) as admin:
            admin.execute("CREATE ROLE spec11 LOGIN")
            admin.execute("CREATE ROLE spec11_reader LOGIN")
            admin.execute(f"CREATE DATABASE {TEMPLATE} OWNER spec11")
        bootstrap.migrate(running.dsn(TEMPLATE))
        yield running


@pytest.fixture
def dsn(server: EmbeddedServer) -> str:
    """A fresh copy of the migrated database."""
    name = f"api_{next(NUMBERS)}"
    with connected(server.dsn("postgres", "postgres")) as admin:
        admin.execute(f"CREATE DATABASE {name} OWNER spec11 TEMPLATE {TEMPLATE} STRATEGY file_copy")
    return server.dsn(name)
