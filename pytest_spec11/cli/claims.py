"""``spec11 claims``: what the product claims, and what must prove it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from pytest_spec11.errors import BadInput
from pytest_spec11.requirements import tree_catalogue
from pytest_spec11.requirements.catalogue import Catalogue, Claim, Scenario

_PREFACE: Final = """\
This page is what `spec11 claims --markdown` prints of the catalogue. A claim is proven when its
tests passed at the first attempt and something was observed through each of its sources. A saboteur
is a fault that must turn the claim red.
"""


def add(commands: Any) -> None:
    """Declare the command and its options."""
    made = commands.add_parser("claims", help="list the claims", allow_abbrev=False)
    made.add_argument("-m", dest="scenario", help="only this scenario, such as S02")
    made.add_argument("--root", type=Path, default=Path(), help="the work tree")
    made.add_argument(
        "--catalogue", type=Path, help="file of claims; default: the tree's, else the package's"
    )
    form = made.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true")
    form.add_argument("--markdown", action="store_true")
    made.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """0; an unknown scenario is bad input."""
    known_ones = tree_catalogue.load(arguments.root, arguments.catalogue)
    shown = [item for item in known_ones.scenarios if arguments.scenario in {None, item.id}]
    if not shown:
        known = " ".join(item.id for item in known_ones.scenarios)
        raise BadInput(f"no scenario {arguments.scenario}; there are {known}")
    if arguments.json:
        print(json.dumps([asdict(claim) for item in shown for claim in item.claims], indent=1))
    else:
        print("\n".join(_markdown(known_ones, shown) if arguments.markdown else _plain(shown)))
    return 0


def _plain(scenarios: Sequence[Scenario]) -> Iterator[str]:
    for scenario in scenarios:
        yield f"{scenario.id}  {scenario.title}  ({len(scenario.claims)} claims)"
        for claim in scenario.claims:
            yield f"  {claim.id}  [{', '.join(claim.sources)}]"


def _markdown(known: Catalogue, scenarios: Sequence[Scenario]) -> Iterator[str]:
    yield f"# Scenarios: {sum(len(item.claims) for item in scenarios)} claims\n"
    yield _PREFACE
    yield from _table("source", known.sources)
    yield from _table("word", known.words)
    for scenario in scenarios:
        yield f"## {scenario.id} {scenario.title}\n{scenario.summary}\n"
        yield "| claim | must hold | sources | saboteurs |\n| :-- | :-- | :-- | :-- |"
        for claim in scenario.claims:
            yield f"| {' | '.join((claim.id, _text(claim), *_code(claim)))} |"
        yield ""


def _table(title: str, rows: Mapping[str, str]) -> Iterator[str]:
    if rows:
        yield f"| {title} | meaning |\n| :-- | :-- |"
        yield from (f"| `{name}` | {_cell(meaning)} |" for name, meaning in rows.items())
        yield ""


def _text(claim: Claim) -> str:
    """The claim, and its scopes when it is not needed at every scope."""
    only = "" if claim.is_needed("signoff") else f" Needed at scope {', '.join(claim.scopes)} only."
    return _cell(claim.text) + only


def _code(claim: Claim) -> tuple[str, str]:
    return " ".join(claim.sources), " ".join(f"`{name}`" for name in claim.saboteurs)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
