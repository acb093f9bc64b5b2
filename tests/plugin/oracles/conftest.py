"""A witness that remembers, and a database to look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest

from engine.postgres.server import EmbeddedServer, connect

NUMBERS = count()


@dataclass(frozen=True)
class Seen:
    """One observation, as an oracle handed it on."""

    source: str
    ref: str
    facts: Mapping[str, Any]
    body: bytes | None
    empty: bool


@dataclass
class Notes:
    """A witness that keeps everything."""

    seen: list[Seen] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    change: Callable[[Any], Any] | None = None

    def __call__(
        self,
        source: str,
        ref: str,
        facts: Mapping[str, Any],
        *,
        body: bytes | None = None,
        empty: bool = False,
    ) -> None:
        self.seen.append(Seen(source, ref, dict(facts), body, empty))

    def pass_on(self, source: str, ref: str, reading: Any) -> Any:
        self.asked.append((source, ref))
        return reading if self.change is None else self.change(reading)

    @property
    def last(self) -> Seen:
        return self.seen[-1]


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedServer]:
    """A throw-away Postgres."""
    with EmbeddedServer() as running:
        with connect(running.dsn("postgres", "postgres")) as admin:
            admin.execute("CREATE ROLE spec11_reader LOGIN")
        yield running


@pytest.fixture
def database(server: EmbeddedServer) -> Callable[[str], str]:
    """Makes a database with two schemas and a few rows; DSN of a role in it."""
    name = f"oracle_{next(NUMBERS)}"
    with connect(server.dsn("postgres", "postgres")) as admin:
        admin.execute(f"CREATE DATABASE {name}")
    with connect(server.dsn(name, "postgres")) as admin:
        for statement in STATEMENTS:
            admin.execute(statement)
    return lambda role: server.dsn(name, role)


STATEMENTS = (
    "CREATE SCHEMA app",
    "CREATE SCHEMA dbos",
    "CREATE TABLE app.orders (id int PRIMARY KEY, what text)",
    "CREATE TABLE app.beats (id int)",
    "CREATE TABLE dbos.jobs (id serial PRIMARY KEY, what text)",
    "INSERT INTO app.orders VALUES (1, 'tea'), (2, 'milk')",
    "INSERT INTO dbos.jobs (what) VALUES ('brew')",
    "GRANT USAGE ON SCHEMA app, dbos TO spec11_reader",
    "GRANT ALL ON ALL TABLES IN SCHEMA app, dbos TO spec11_reader",
    "GRANT SELECT ON ALL SEQUENCES IN SCHEMA app, dbos TO spec11_reader",
)
