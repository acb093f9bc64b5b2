"""`spec11-engine up`: the whole engine in the foreground."""

from __future__ import annotations

import argparse
from typing import Final

from engine import up
from engine.cli import where
from engine.config import Config

EPILOG: Final = """
The command prints `ready http://127.0.0.1:<port>` when everything runs. It prints the output of the
processes to standard error, each line after the name of its process. It restarts a process that
ends. Ctrl-C stops everything. The data stay, and the next `up` goes on with them.

examples:
  spec11-engine up                                  http://127.0.0.1:3001, one worker
  spec11-engine up --port 0 --workers 2             any free port, two workers
  spec11-engine up --data-dir ./spec11              the data in a directory of your choice
  SPEC11_DSN=postgresql://… spec11-engine up        on a Postgres of your own

exit status: 0 after Ctrl-C, 2 wrong usage or environment, 3 the data directory or the port is in
use, 4 unexpected
"""
PORTS: Final = range(65536)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.epilog = EPILOG
    parser.add_argument(
        "--workers",
        type=_count,
        default=1,
        metavar="N",
        help="number of workers (default: 1; with 0 the runs wait)",
    )
    parser.add_argument(
        "--port",
        type=_port,
        metavar="P",
        help="HTTP port, 0 for any free port (default: PORT, else 3001)",
    )
    where.argument(parser)


def run(arguments: argparse.Namespace, config: Config) -> int:
    """0 after Ctrl-C or SIGTERM."""
    named = where.elsewhere(arguments, config)
    return up.serve(
        up.Plan(
            data=where.directory(arguments, config) if named is None else None,
            port=config.http.port if arguments.port is None else arguments.port,
            host=config.http.host,
            workers=arguments.workers,
        )
    )


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


def _port(text: str) -> int:
    if (number := _count(text)) not in PORTS:
        raise argparse.ArgumentTypeError(f"{text!r} is not within 0..65535")
    return number
