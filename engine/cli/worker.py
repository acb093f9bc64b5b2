"""`spec11-engine worker`: one executor."""

from __future__ import annotations

import argparse
import importlib

from engine.cli import owner, where
from engine.config import Config


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    where.argument(parser)
    owner.argument(parser)


def run(arguments: argparse.Namespace, config: Config) -> int:
    """0 after SIGTERM."""
    dsn = where.running(arguments, config)
    owner.follow(arguments.owner)
    serve = importlib.import_module("engine.worker").serve  # 1.5 s, for a sound environment only
    status: int = serve(config, dsn)
    return status
