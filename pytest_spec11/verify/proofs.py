"""Finds again, from the records alone, which claims they prove."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

from pytest_spec11.verify import hashing
from pytest_spec11.verify.chain import MISSTATED, Data, Journal

_FACTS: Final = b',"facts":'
_GREEN: Final = frozenset({"passed", "xpassed"})
_RED: Final = frozenset({"failed", "error"})
NOTHING: Final = sha256(b"").hexdigest()


@dataclass(slots=True)
class Test:
    """Everything about one test."""

    collected: bool = False
    outcomes: int = 0
    proven: bool = True
    red: bool = False
    claims: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)  # the claims that its outcomes name
    sources: set[str] = field(default_factory=set)
    looked: set[str] = field(default_factory=set)  # journals with an observation of it
    checked: bool = False
    blobs: set[str] = field(default_factory=set)


class Proofs:
    """Takes every record, and keeps what it needs of each test, but no records."""

    def __init__(self) -> None:
        self.tests: dict[str, Test] = defaultdict(Test)
        self.deselected: dict[str, set[str]] = defaultdict(set)
        self.defined: set[tuple[str, int]] = set()  # place and line of tests in the tree's files
        self.selected: set[str] = set()
        self.foreign: dict[str, set[str]] = defaultdict(set)  # paths, by kind
        self.heard: set[str] = set()  # journals that say what their process read
        self.targets: dict[str, Data] = {}  # what the target ran, by journal
        self.blobs: dict[str, tuple[int, str]] = {}  # size and first place, by name
        self.orders: list[tuple[Journal, Data]] = []
        self._hearing: Mapping[str, Callable[[Journal, Data], str]] = {
            "collected": self._take_collection,
            "observation": self._take_observation,
            "assertion": self._take_assertion,
            "outcome": self._take_outcome,
            "workers": self._take_workers,
            "surroundings": self._take_surroundings,
        }

    def hear(self, journal: Journal, kind: str, data: Data) -> str:
        """Take a record; return what is wrong with it beyond its shape, or an empty text."""
        heard = self._hearing.get(kind)
        return heard(journal, data) if heard else ""

    def _take_collection(self, _: Journal, data: Data) -> str:
        for item in data["items"]:
            test = self.tests[item["node"]]
            test.collected = True
            test.claims.update(item["claims"])
        for item in data["deselected"]:
            self.deselected[item["node"]].update(item["claims"])
        self.defined.update((each["place"], each["line"]) for each in data["defined"])
        self.selected.update(data["selected"])
        return ""

    def _take_observation(self, journal: Journal, data: Data) -> str:
        name, size = data["blob"], data["size"]
        test = self.tests[data["node"]] if data["node"] else None
        if name is None:
            if not _is_told(journal.line, data, size):
                return MISSTATED
        else:
            known = self.blobs.setdefault(name, (size, f"{journal.name} record {journal.records}"))
            if data["digest"] != name or known[0] != size:
                return MISSTATED
            if test is not None:
                test.blobs.add(name)
        if test is not None and not data["empty"] and size > 0 and data["digest"] != NOTHING:
            test.sources.add(data["source"])
            test.looked.add(journal.name)
        return ""

    def _take_assertion(self, journal: Journal, data: Data) -> str:
        test = self.tests.get(data["node"])
        if test is not None and journal.name in test.looked:
            test.checked = True
        return ""

    def _take_outcome(self, _: Journal, data: Data) -> str:
        test = self.tests[data["node"]]
        test.outcomes += 1
        test.ended.update(data["claims"])
        words = {data["outcome"], *data["phases"].values()}
        if _is_flattered(data):
            words.add("failed")
        test.proven = test.proven and words == {"passed"}
        test.proven = test.proven and data["attempt"] == 1 and not data["voids"]
        test.red = test.red or bool(words & _RED) or bool(data["voids"])
        return ""

    def _take_workers(self, journal: Journal, data: Data) -> str:
        self.orders.append((journal, data))
        return ""

    def _take_surroundings(self, journal: Journal, data: Data) -> str:
        for each in data["foreign"]:
            if each["kind"] not in {"code", "input"}:
                return f"no kind of a foreign file: {each['kind']!r}"
            self.foreign[each["kind"]].add(str(each["path"]))
        if data["target"]:
            self.targets[journal.name] = data["target"]
        if data["heard"] and not data["faults"]:
            self.heard.add(journal.name)
        return ""

    def proven(self, needs: Mapping[str, Iterable[str]], spoilt: set[str]) -> set[str]:
        """The claims of ``needs`` (claim: its sources) that their tests prove.

        ``spoilt`` are blobs that are not whole.
        """
        tests: dict[str, list[Test]] = defaultdict(list)
        for each in self.tests.values():
            for claim in each.claims | each.ended:
                tests[claim].append(each)
        ended = {node for node, each in self.tests.items() if each.outcomes}
        left = {
            claim
            for node, claims in self.deselected.items()
            if node not in ended
            for claim in claims
        }
        return {
            claim
            for claim, sources in needs.items()
            if claim in tests and claim not in left and _prove(tests[claim], sources, spoilt)
        }

    def find_left_out(self) -> list[str]:
        """Tests of the tree that no run selected, or that share their place with another."""
        counts = Counter(place for place, _ in self.defined)
        return sorted(
            place for place, count in counts.items() if count > 1 or place not in self.selected
        )

    def find_unconserved(self) -> list[str]:
        """Tests that were collected but never ended, or ended but were never collected."""
        return [
            node
            for node, each in self.tests.items()
            if each.collected != bool(each.outcomes)
            or (each.outcomes and each.claims != each.ended)
        ]


def _is_told(line: bytes, data: Data, size: int) -> bool:
    """Whether the facts of an observation have the stated digest and size.

    The line contains them as canonical JSON; if that is not found, it is made again.
    """
    begin = line.find(_FACTS) + len(_FACTS)
    written = line[begin : begin + size]
    if (
        line[begin + size : begin + size + 1] == b","
        and sha256(written).hexdigest() == data["digest"]
    ):
        return True
    return hashing.has_digest(data["facts"], data["digest"], size)


def _is_flattered(data: Data) -> bool:
    """Whether a report calls a phase better than the witness of the phase saw it end."""
    for when, word in data["phases"].items():
        seen = data["witness"].get(when, "" if when == "call" else "passed")
        if (word in _GREEN and seen != "passed") or (word not in _RED and seen == "failed"):
            return True
    return False


def _prove(tests: list[Test], sources: Iterable[str], spoilt: set[str]) -> bool:
    whole = all(
        each.outcomes == 1 and each.proven and each.checked and not each.blobs & spoilt
        for each in tests
    )
    return whole and set[str]().union(*(each.sources for each in tests)).issuperset(sources)


def table(value: Any) -> Mapping[str, Any]:
    """``value`` if it is a table, otherwise an empty table."""
    return value if isinstance(value, dict) else {}
