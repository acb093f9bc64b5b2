"""A long-lived process of the engine: what `api` and `worker` have in common."""

from __future__ import annotations

import argparse
import importlib
from dataclasses import replace

from engine import crash_points
from engine.cli import owner, where
from engine.config import Config
from engine.loading import pause_collection


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    where.argument(parser)
    owner.argument(parser)


def serve(module: str, arguments: argparse.Namespace, config: Config) -> int:
    """0 after SIGTERM. ``module`` is loaded late: for a sound environment and a known server."""
    dsn = where.running(arguments, config)
    owner.follow(arguments.owner)
    if arguments.data_dir is not None:
        config = replace(config, folders=replace(config.folders, data_dir=arguments.data_dir))
    if config.runtime.crash_at is not None:
        crash_points.arm(*config.runtime.crash_at)
    with pause_collection():
        process = importlib.import_module(module)
    status: int = process.serve(config, dsn)
    return status
