"""`spec11-engine db serve|migrate|reset|gc`."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from typing import Final

from engine.cli import owner, retention, where
from engine.config import Config
from engine.errors import EngineError, Misconfigured
from engine.postgres.server import PORT, EmbeddedServer
from engine.store import migrations
from engine.usecases import bootstrap, cluster

LOOK_EVERY_S: Final = 0.1


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the four."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    serve = verbs.add_parser("serve", help="run only the embedded Postgres, until its owner ends")
    places = serve.add_mutually_exclusive_group()
    where.argument(places)
    places.add_argument(
        "--ephemeral", action="store_true", help="a temporary server, in memory if there is room"
    )
    owner.argument(serve)
    migrate = verbs.add_parser(
        "migrate", help="bring the database to the newest schema; safe to repeat"
    )
    where.argument(migrate)
    owner.argument(migrate)
    migrate.add_argument("--json", action="store_true", help="print what was applied as JSON")
    reset = verbs.add_parser("reset", help="drop both schemas with all runs; run migrate after it")
    where.argument(reset)
    reset.add_argument("--yes", action="store_true", help="confirm: the command does not ask")
    meaning = retention.MEANING
    gc = verbs.add_parser("gc", help=meaning, description=f"{meaning[0].upper()}{meaning[1:]}.")
    retention.arguments(gc)


def run(arguments: argparse.Namespace, config: Config) -> int:
    """0 when the verb is done."""
    verbs = {"serve": _serve, "migrate": _migrate, "reset": _reset, "gc": retention.run}
    return verbs[arguments.verb](arguments, config)


def _serve(arguments: argparse.Namespace, config: Config) -> int:
    asked = _requests_to_end()
    owner.follow(arguments.owner or os.getppid())
    data = None if arguments.ephemeral else where.directory(arguments, config)
    with cluster.running(data, config.folders.cache, arguments.owner) as server:
        print(f"postgres ready host={server.place.socket_dir} port={PORT}", flush=True)
        _stay(server, asked)
    return 0


def _requests_to_end() -> list[int]:
    """The signals that will have come: what has begun is finished first, so nothing is left."""
    came: list[int] = []
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, lambda number, _: came.append(number))
    return came


def _stay(server: EmbeddedServer, asked: list[int]) -> None:
    """Return when asked to end. Raises EngineError when the server has ended."""
    pause = threading.Event()
    while not asked:
        if server.exit_code is not None:
            raise EngineError(f"postgres ended with {server.exit_code}, see {server.place.log}")
        pause.wait(LOOK_EVERY_S)


def _migrate(arguments: argparse.Namespace, config: Config) -> int:
    owner.follow(arguments.owner)
    with where.reachable(arguments, config) as dsn:
        applied = bootstrap.migrate(dsn)
    if arguments.json:
        print(json.dumps({"applied": applied}))
    else:
        print(f"applied {', '.join(applied)}" if applied else "nothing to apply")
    return 0


def _reset(arguments: argparse.Namespace, config: Config) -> int:
    if not arguments.yes:
        raise Misconfigured("reset deletes every run for ever; confirm with --yes")
    with where.reachable(arguments, config) as dsn:
        migrations.reset(dsn)
    print("both schemas are dropped; `spec11-engine db migrate` creates them", file=sys.stderr)
    return 0
