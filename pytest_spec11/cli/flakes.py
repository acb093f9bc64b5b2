"""``spec11 flakes``: which tests were ever red in the kept runs of one tree."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pytest_spec11.errors import BadInput
from pytest_spec11.evidence import binding, kept_runs
from pytest_spec11.evidence.kept_runs import HOME, KeptRun


@dataclass(frozen=True, slots=True)
class Row:
    """One test over all runs. ``word`` and ``message`` come from its last red."""

    node: str
    runs: int
    reds: int
    last_red: str = ""
    word: str = ""
    message: str = ""


def add(commands: Any) -> None:
    """Declare the command and its options."""
    made = commands.add_parser(
        "flakes", help="list tests that were red in a kept run of this tree", allow_abbrev=False
    )
    made.add_argument(
        "places", nargs="*", type=Path, metavar="DIR",
        help=f"directories of evidence, or runs; default: {HOME} of the work tree",
    )  # fmt: skip
    made.add_argument("--root", type=Path, default=Path(), help="the work tree; default: here")
    made.add_argument("--tree", default="", help="digest of the tree; default: the work tree's")
    made.add_argument("--json", action="store_true", help="print every test as JSON")
    made.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """0 when no test was red, 1 when one was, or when a run cannot be read."""
    places = arguments.places or [arguments.root / HOME]
    for place in places:
        if not place.is_dir():
            raise BadInput(f"{place}: not a directory")
    tree = arguments.tree or str(binding.measure(arguments.root, "", "demo", "")["tree"])
    runs = kept_runs.read_runs(_find(places), tree)
    rows = tally(runs)
    unreadable = [f"{each.name}: {each.damage}" for each in runs if each.damage]
    if arguments.json:
        found = {
            "tree": tree,
            "runs": [each.name for each in runs],
            "unreadable": unreadable,
            "tests": [asdict(each) for each in rows],
        }
        print(json.dumps(found, indent=1))
    else:
        print("\n".join([*_text(rows), *unreadable, _sum(runs, rows, tree)]))
    return int(bool(unreadable) or any(each.reds for each in rows))


def _find(places: Sequence[Path]) -> list[Path]:
    found = [
        each
        for place in places
        for each in ([place] if kept_runs.holds_journal(place) else kept_runs.list_runs(place))
    ]
    return sorted(found, key=lambda each: each.resolve().name)


def tally(runs: Sequence[KeptRun]) -> list[Row]:
    """A row for each test: the reddest first."""
    nodes = {node for each in runs for node in each.ended | each.reds.keys()}
    rows = [_row(node, runs) for node in nodes]
    return sorted(rows, key=lambda row: (-row.reds, row.node))


def _row(node: str, runs: Sequence[KeptRun]) -> Row:
    count = sum(node in each.ended or node in each.reds for each in runs)
    red = [each for each in runs if node in each.reds]
    if not red:
        return Row(node, count, 0)
    last = red[-1]
    said = last.reds[node]
    return Row(node, count, len(red), str(last.path), said.word, said.message)


def _text(rows: Sequence[Row]) -> Iterator[str]:
    for each in rows:
        if each.reds:
            yield f"red in {each.reds} of {each.runs} runs  {each.node}"
            yield f"    last {each.word} in {each.last_red}: {each.message[:200] or 'no message'}"


def _sum(runs: Sequence[KeptRun], rows: Sequence[Row], tree: str) -> str:
    red = sum(each.reds > 0 for each in rows)
    return f"{red} of {len(rows)} tests were red in {len(runs)} kept runs of tree {tree[:12]}"
