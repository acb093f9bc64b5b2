"""A Postgres server with the engine's roles and databases, to use or to copy."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from importlib import metadata, resources
from pathlib import Path
from typing import Final, LiteralString

from engine.postgres import template
from engine.postgres.binaries import Programs
from engine.postgres.place import Place
from engine.postgres.server import Connection, EmbeddedServer, address, connect
from engine.usecases import bootstrap

TEMPLATE: Final = "spec11_template"
DATABASE: Final = "spec11"
ROLES: Final[tuple[LiteralString, ...]] = ("spec11", "spec11_reader")
THERE: Final = "SELECT FROM pg_database WHERE datname = %s"
MADE_FROM: Final = (  # code and data that decide what a fresh database holds
    ("engine.store.migrations", ""),
    ("engine.usecases", "bootstrap.py"),
    ("engine.usecases", "cluster.py"),
    ("engine.usecases", "seed.py"),
    ("engine.seed", "pack.json"),
)


@contextmanager
def running(data: Path | None, cache: Path, owner: int | None = None) -> Iterator[EmbeddedServer]:
    """A prepared server on ``data`` (None: temporary), as a copy of the cluster in ``cache``.

    ``owner`` is the process that owns ``data``; None means this process.
    """
    with EmbeddedServer(data=data, template=_template(cache), owner=owner) as server:
        if not server.is_copy:
            furnish(server)
        yield server


def furnish(server: EmbeddedServer) -> None:
    """Create the engine's roles and the newest ``TEMPLATE``; a repeat is harmless."""
    with connect(server.dsn("postgres", "postgres")) as admin:
        for role in ROLES:
            _unless(
                admin, "SELECT FROM pg_roles WHERE rolname = %s", role, f"CREATE ROLE {role} LOGIN"
            )
        _unless(admin, THERE, TEMPLATE, f"CREATE DATABASE {TEMPLATE} OWNER spec11")
    bootstrap.migrate(server.dsn(TEMPLATE))


def _template(cache: Path) -> Path | None:
    """The cached cluster; None if a cache is not possible."""
    try:
        return template.keep_template(cache / "templates", key(), furnish)
    except OSError:
        return None


def database(place: Place) -> str:
    """The DSN of the newest ``DATABASE`` of the server on ``place``; create it if it is missing."""
    found = find_database(place)
    bootstrap.migrate(found)
    return found


def find_database(place: Place) -> str:
    """The DSN of ``DATABASE`` as it is; create it if it is missing."""
    copy = f"CREATE DATABASE {DATABASE} OWNER spec11 TEMPLATE {TEMPLATE} STRATEGY file_copy"
    with connect(address(place, "postgres", "postgres")) as admin:
        _unless(admin, THERE, DATABASE, copy)
    return address(place, DATABASE, "spec11")


def _unless(admin: Connection, query: LiteralString, name: str, make: LiteralString) -> None:
    if admin.execute(query, (name,)).fetchone() is None:
        admin.execute(make)


def key() -> str:
    """The key of a fresh cluster: build, account, schemas, seed. Equal keys, equal clusters."""
    digest = sha256(f"{Programs.find_installed().build}:{metadata.version('dbos')}".encode())
    for package, name in MADE_FROM:
        found = resources.files(package)
        files = [found / name] if name else sorted(found.iterdir(), key=lambda each: each.name)
        for each in files:
            if each.is_file():
                digest.update(each.read_bytes())
    return f"{os.geteuid()}-{digest.hexdigest()[:16]}"
