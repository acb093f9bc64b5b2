"""What the benchmarks run on: a durable embedded Postgres, and processes that end with them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg
from psycopg.rows import scalar_row

from engine import config
from engine.postgres.server import EmbeddedServer, connected
from engine.usecases import cluster

PATIENCE_S: Final = 120.0
LOOK_S: Final = 0.01
YES: Final = {"payload": {"choice": "yes"}, "dedupeKey": "bench", "origin": "manual"}


@contextmanager
def postgres() -> Iterator[EmbeddedServer]:
    """A server that writes through to the disk, as one in use does; its files are gone after."""
    place = Path(tempfile.mkdtemp(prefix="spec11-bench-", dir="/var/tmp"))  # on a disk
    place.chmod(0o711)
    try:
        with EmbeddedServer(data=place, durable=True) as server:
            cluster.furnish(server)
            yield server
    finally:
        shutil.rmtree(place, ignore_errors=True)


def database(server: EmbeddedServer, name: str) -> str:
    """How to reach a fresh migrated database of that name."""
    with connected(server.dsn("postgres", "postgres")) as admin:
        admin.execute(f"CREATE DATABASE {name} OWNER spec11 TEMPLATE {cluster.TEMPLATE}")
    return server.dsn(name)


@contextmanager
def process(words: list[str], ready: str, env: Mapping[str, str]) -> Iterator[str]:
    """The rest of the line that begins with ``ready``, while ``python -m words`` runs."""
    child = subprocess.Popen(  # noqa: S603  # our own words only
        [sys.executable, "-m", *words],
        env=config.environment(env),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        line = child.stdout.readline() if child.stdout else ""
        if not line.startswith(ready):
            raise SystemExit(f"{words[0]} did not start: {line!r}")
        yield line.removeprefix(ready).strip()
    finally:
        child.terminate()
        child.wait(20)


def until(dsn: str, query: str, values: Mapping[str, object], wanted: int) -> None:
    """Return when ``query`` counts ``wanted``. Raises SystemExit after a bounded time."""
    end = time.monotonic() + PATIENCE_S
    with psycopg.connect(dsn, autocommit=True, row_factory=scalar_row) as db:
        while (seen := db.execute(query.encode(), values).fetchone()) != wanted:
            if time.monotonic() > end:
                raise SystemExit(f"{query}: {seen}, not {wanted}, after {PATIENCE_S:g} s")
            time.sleep(LOOK_S)


def environment(dsn: str) -> dict[str, str]:
    """What the engine's processes are told, on the database ``dsn``."""
    return {"PORT": "0", "DBOS__APPVERSION": "bench", "SPEC11_DSN": dsn}


def start(goal: str) -> dict[str, object]:
    """The body of a start."""
    return {
        "recipeRef": {"id": "compile-default", "v": "v1"},
        "formData": {"goal": goal},
        "opts": {"queuePartitionKey": "bench"},
    }


def cores() -> int:
    """How many processors there are."""
    return os.cpu_count() or 1
