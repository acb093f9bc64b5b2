"""Rules about the tests of the tree: each that its files define ended in a gated run (D41)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from pytest_spec11.judge.case import Case
from pytest_spec11.judge.reasons import Reason, command_of, reason


def check_inventory(case: Case) -> Iterator[Reason]:
    """Every test of every test file must have been selected, and no test may hide another."""
    files: dict[str, list[str]] = defaultdict(list)
    for place in sorted(case.bundle.inventory.defined):
        files[place.partition("::")[0]].append(place)
    for file, places in sorted(files.items()):
        missing = [place for place in places if place not in case.bundle.inventory.selected]
        if len(missing) == len(places):
            text = f"no gated run has a test of this file, which defines {len(places)}"
            yield reason("E-NOT-COLLECTED", file, text, f"pytest {file}")
        else:
            yield from _check_places(case, places)


def _check_places(case: Case, places: list[str]) -> Iterator[Reason]:
    left = {node.partition("[")[0] for node in case.bundle.deselected}
    for place in places:
        lines = case.bundle.inventory.defined[place]
        if len(lines) > 1:
            text = f"defined in the lines {', '.join(map(str, lines))}, of which one runs"
            yield reason("E-SHADOWED", place, text)
        elif place not in case.bundle.inventory.selected:
            code = "E-NOT-COLLECTED" if place in left else "E-SHADOWED"
            text = f"defined in line {lines[0]}, and no gated run has it"
            yield reason(code, place, text, command_of(place))
