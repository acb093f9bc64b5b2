"""`spec11-engine points`: the named places at which SPEC11_CRASH_AT can end a process."""

from __future__ import annotations

import argparse
import json

from engine import crash_points
from engine.config import Config


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--json", action="store_true", help="print a JSON array")


def run(arguments: argparse.Namespace, config: Config) -> int:
    """0, after the list."""
    del config
    print(json.dumps(crash_points.POINTS) if arguments.json else "\n".join(crash_points.POINTS))
    return 0
