"""The rounds of ``make flakes`` that ended, so that parts of a long search add up.

Each round is one line of JSON. Rounds add up when they ran the same tests of the same tree.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

PLACE: Final = Path(".spec11") / "flakes.ndjson"
KINDS: Final = ("plain", "busy")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """How one round of these tests of this tree ended, and where to read on."""

    tree: str
    tests: list[str]
    kind: str
    seed: int
    red: list[str]
    log: str
    evidence: str

    def lines(self) -> Iterator[str]:
        """A line for each red test."""
        for test in self.red:
            yield f"{test}  {self.kind}, seed {self.seed}, {self.log}, {self.evidence}"


class BadLedger(Exception):
    """A line of the ledger is no round."""


def append(entry: Entry, place: Path = PLACE) -> None:
    """Write the round as one line, in one write: another search may write at the same time."""
    place.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(asdict(entry), ensure_ascii=False).encode() + b"\n"
    ledger = os.open(place, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(ledger, line)
        os.fsync(ledger)
    finally:
        os.close(ledger)


def read(tree: str, tests: Sequence[str], place: Path = PLACE) -> list[Entry]:
    """The rounds of these tests of this tree, the oldest first. Raises BadLedger."""
    if not place.exists():
        return []
    with place.open(encoding="utf-8") as lines:
        entries = [_parse(place, number, line) for number, line in enumerate(lines, 1)]
    return [each for each in entries if (each.tree, each.tests) == (tree, [*tests])]


def _parse(place: Path, number: int, line: str) -> Entry:
    try:
        fields: dict[str, Any] = json.loads(line)
        return Entry(**fields)
    except (TypeError, ValueError) as error:
        raise BadLedger(f"{place}, line {number}: {error}; remove the line or the file") from error


def describe(entries: Sequence[Entry]) -> str:
    """How many rounds of each kind there were, and how many of them were red."""
    counts = [
        f"{len(of)} {kind} ({sum(bool(each.red) for each in of)} red)"
        for kind in KINDS
        for of in [[each for each in entries if each.kind == kind]]
    ]
    return f"all rounds of this tree: {', '.join(counts)}"
