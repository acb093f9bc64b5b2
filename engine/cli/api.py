"""`spec11-engine api`: the api-shim."""

from __future__ import annotations

import argparse

from engine.cli import serving
from engine.config import Config

arguments = serving.arguments


def run(arguments: argparse.Namespace, config: Config) -> int:
    """0 after SIGTERM."""
    return serving.serve("engine.shim", arguments, config)
