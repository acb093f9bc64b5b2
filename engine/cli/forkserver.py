"""`spec11-engine forkserver api|worker`: one command by fork, for test runs that start hundreds."""

from __future__ import annotations

import argparse
import importlib
import socket
import sys
from typing import Final

from engine import fork_server
from engine.config import Config
from engine.errors import Misconfigured
from engine.loading import pause_collection

LOADED: Final = {  # what a process of the command has loaded, and nothing else
    "api": ("engine.cli.api", "engine.shim"),
    "worker": ("engine.cli.worker", "engine.worker"),
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command, and room."""
    parser.add_argument("served", choices=tuple(LOADED), help="the command")
    parser.add_argument(
        "--room",
        default="",
        metavar="XXX",
        help="any text, as room for process titles",
    )


def run(arguments: argparse.Namespace, config: Config) -> int:
    """0 at the end of standard input; in each fork the status of its command."""
    del config
    try:
        connection = socket.socket(fileno=sys.stdin.fileno())
    except OSError as error:
        raise Misconfigured(f"standard input is no socket: {error.strerror}") from error
    with pause_collection():
        for name in LOADED[arguments.served]:
            importlib.import_module(name)
    order = fork_server.serve(connection, [arguments.served])
    if order is None:
        return 0
    from engine.cli import main  # noqa: PLC0415  # the command line knows us, not we it

    return main(order.words)
