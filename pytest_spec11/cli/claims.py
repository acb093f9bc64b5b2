"""``spec11 claims``: what the product claims, and what must prove it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pytest_spec11 import catalogue
from pytest_spec11.catalogue import Scenario
from pytest_spec11.errors import BadInput


def add(commands: Any) -> None:
    """Declare the command and its options."""
    made = commands.add_parser("claims", help="list the claims", allow_abbrev=False)
    made.add_argument("-m", dest="scenario", help="only this scenario, such as S02")
    made.add_argument("--catalogue", type=Path, help="claims; default: the packaged ones")
    form = made.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true")
    form.add_argument("--markdown", action="store_true")
    made.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """0; an unknown scenario is bad input."""
    scenarios = catalogue.load(arguments.catalogue).scenarios
    shown = [item for item in scenarios if arguments.scenario in {None, item.id}]
    if not shown:
        known = " ".join(item.id for item in scenarios)
        raise BadInput(f"no scenario {arguments.scenario}; there are {known}")
    if arguments.json:
        print(json.dumps([asdict(claim) for item in shown for claim in item.claims], indent=1))
    else:
        print("\n".join(_markdown(shown) if arguments.markdown else _plain(shown)))
    return 0


def _plain(scenarios: Sequence[Scenario]) -> Iterator[str]:
    for scenario in scenarios:
        yield f"{scenario.id}  {scenario.title}  ({len(scenario.claims)} claims)"
        for claim in scenario.claims:
            yield f"  {claim.id}  [{', '.join(claim.sources)}]"


def _markdown(scenarios: Sequence[Scenario]) -> Iterator[str]:
    for scenario in scenarios:
        yield f"## {scenario.id} {scenario.title}\n"
        yield "| claim | text | sources | scopes |\n|---|---|---|---|"
        for claim in scenario.claims:
            text = claim.text.replace("|", "\\|").replace("\n", " ")
            sources, scopes = ", ".join(claim.sources), ", ".join(claim.scopes)
            yield f"| `{claim.id}` | {text} | {sources} | {scopes} |"
        yield ""
