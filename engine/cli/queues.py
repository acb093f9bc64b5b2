"""`spec11-engine queues`: the queues, with the limits that this environment gives each."""

from __future__ import annotations

import argparse
import json
from typing import Final

from engine.config import Config
from engine.core.queues import NAMES, Limits, Rate

HEADS: Final = ("name", "slots", "slotsOfOne", "everywhere", "ofOneEverywhere", "rate", "rateOfOne")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--json", action="store_true", help="print a JSON array")


def run(arguments: argparse.Namespace, config: Config) -> int:
    """0, after one line for each queue; ``-`` is no limit."""
    limits = config.limits
    rows = [dict(zip(HEADS, _row(name, limits.get(name)), strict=True)) for name in NAMES]
    if arguments.json:
        print(json.dumps(rows))
        return 0
    print("\t".join(HEADS))
    for row in rows:
        print("\t".join("-" if value is None else str(value) for value in row.values()))
    return 0


def _row(name: str, limits: Limits | None) -> tuple[str | int | None, ...]:
    if limits is None:
        return (name, *[None] * (len(HEADS) - 1))
    return (
        name,
        limits.slots,
        limits.slots_of_one,
        limits.everywhere,
        limits.slots_of_one_everywhere,
        _rate(limits.rate),
        _rate(limits.rate_of_one),
    )


def _rate(rate: Rate | None) -> str | None:
    return None if rate is None else f"{rate.starts}/{rate.period_s}s"
