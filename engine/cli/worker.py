"""`spec11-engine worker`: one executor."""

from __future__ import annotations

import argparse

from engine.cli import serving
from engine.config import Config

arguments = serving.arguments


def run(arguments: argparse.Namespace, config: Config) -> int:
    """0 after SIGTERM."""
    return serving.serve("engine.worker", arguments, config)
