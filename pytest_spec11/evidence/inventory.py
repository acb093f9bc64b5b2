"""The inventory: which tests the files of a tree define, and which of them runs selected."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Inventory:
    """Tests by place: the file and the names of classes and function, joined by ``::``."""

    defined: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """The lines of every test that a test file of the tree defines."""
    selected: frozenset[str] = frozenset()


def read_inventory(listings: Iterable[Mapping[str, Any]]) -> Inventory:
    """The inventory in records of the kind ``collected``."""
    found = [
        Inventory(
            _group((test["place"], (test["line"],)) for test in each["defined"]),
            frozenset(each["selected"]),
        )
        for each in listings
    ]
    return merge_inventories(found)


def merge_inventories(found: Iterable[Inventory]) -> Inventory:
    """One inventory of all."""
    known = list(found)
    pairs = (pair for each in known for pair in each.defined.items())
    return Inventory(_group(pairs), frozenset[str]().union(*(each.selected for each in known)))


def _group(pairs: Iterable[tuple[str, tuple[int, ...]]]) -> Mapping[str, tuple[int, ...]]:
    lines: dict[str, set[int]] = defaultdict(set)
    for place, numbers in pairs:
        lines[place].update(numbers)
    return {place: tuple(sorted(each)) for place, each in lines.items()}


def add_claims(
    known: dict[str, frozenset[str]], found: Iterable[tuple[str, Iterable[str]]]
) -> None:
    """Add the claims of each test, by node, to those that are known."""
    for node, claims in found:
        known[node] = known.get(node, frozenset()).union(claims)
