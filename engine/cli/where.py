"""Which database a command means: the one that SPEC11_DSN names, else the data directory's."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from engine.config import Config
from engine.errors import Misconfigured
from engine.postgres.place import Place
from engine.postgres.server import address, runs
from engine.usecases import cluster


class TakesArguments(Protocol):
    """A parser, or a group of one."""

    def add_argument(self, name: str, /, **meaning: Any) -> object:
        """One more option."""


def argument(parser: TakesArguments) -> None:
    """Give ``parser`` the one option that all commands share."""
    parser.add_argument(
        "--data-dir",
        type=lambda text: Path(text).expanduser().absolute(),
        metavar="DIR",
        help="directory of the embedded Postgres (default: SPEC11_DATA_DIR, "
        "else spec11 in the user's data home; /var/lib/spec11 for root)",
    )


def directory(arguments: argparse.Namespace, config: Config) -> Path:
    """The data directory that is meant."""
    given: Path | None = arguments.data_dir
    return given or config.folders.data


def elsewhere(arguments: argparse.Namespace, config: Config) -> str | None:
    """How to reach the database that SPEC11_DSN names; None when the embedded server is meant."""
    return config.database.dsn if arguments.data_dir is None else None


def running(arguments: argparse.Namespace, config: Config) -> str:
    """How to reach the database of a server that runs. Raises Misconfigured when none does."""
    if (named := elsewhere(arguments, config)) is not None:
        return named
    place = Place(directory(arguments, config))
    if not runs(place):
        raise Misconfigured(
            f"no Postgres runs on {place.root}: start `spec11-engine up`, or give SPEC11_DSN"
        )
    return address(place, cluster.DATABASE, "spec11")


@contextmanager
def reachable(
    arguments: argparse.Namespace, config: Config, *, newest: bool = False
) -> Iterator[str]:
    """How to reach the database; the embedded server runs meanwhile if it did not.

    ``newest``: the schema of an embedded database is the newest.
    """
    find = cluster.database if newest else cluster.find_database
    data = directory(arguments, config)
    if (named := elsewhere(arguments, config)) is not None:
        yield named
    elif runs(Place(data)):
        yield find(Place(data))
    else:
        with cluster.running(data, config.folders.cache):
            yield find(Place(data))
