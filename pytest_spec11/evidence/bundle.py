"""The bundle: reads run directories as one body of evidence and checks every blob."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pytest_spec11.errors import BadInput
from pytest_spec11.evidence import documents as sealed
from pytest_spec11.evidence import inventory as listings
from pytest_spec11.evidence import journal, observations, run_files
from pytest_spec11.evidence.documents import Document
from pytest_spec11.evidence.foreign_files import ForeignFiles, merge_all, read_surroundings
from pytest_spec11.evidence.inventory import Inventory, add_claims
from pytest_spec11.evidence.journal import Reading, Record, hear_both, ignore_record
from pytest_spec11.evidence.outcome import Outcome
from pytest_spec11.evidence.phase_witness import find_voids
from pytest_spec11.evidence.run_files import Problem

Data = Mapping[str, Any]
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class JournalFile:
    """One journal of a run: its path and its content."""

    path: Path
    reading: Reading

    @property
    def start(self) -> Data:
        """The data of the first record; empty when there is none."""
        return self.reading.start

    @property
    def role(self) -> str:
        """The process that wrote it: main, controller, gw0 …; empty if it does not say."""
        return str(self.start.get("role", ""))

    @property
    def run(self) -> str:
        """The run it belongs to."""
        return str(self.start.get("runId", ""))

    @property
    def binding(self) -> Data:
        """The binding that the process measured at its start."""
        found: Data = self.start.get("binding", {})
        return found

    @property
    def name(self) -> str:
        """Directory and file name, short enough for a message."""
        return f"{self.path.parent.name}/{self.path.name}"


class Sight(NamedTuple):
    """Bytes of an observation that the bundle keeps."""

    ref: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Flaw:
    """An observation whose bytes are missing or differ from its record."""

    node: str
    blob: str  # or the digest of the facts in the record itself
    problem: Problem


@dataclass(frozen=True)
class Bundle:
    """Everything that a verdict is made of.

    Its size grows with journals, tests and flaws, not with observations or assertions.
    """

    leaves: tuple[JournalFile, ...]
    flaws: tuple[Flaw, ...]
    documents: tuple[Document, ...] = ()
    items: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Claims of every collected test, by node."""
    deselected: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Claims of every deselected test, by node."""
    inventory: Inventory = field(default_factory=Inventory)
    foreign: ForeignFiles = field(default_factory=ForeignFiles)
    ends: tuple[Outcome, ...] = ()
    """Every outcome, in the order of the records."""
    sights: Mapping[str, Mapping[str, Sight | None]] = field(default_factory=dict)
    """By node, the sources that showed anything, each with the first sight that has bytes."""
    checked: frozenset[str] = frozenset()
    """Tests that asserted something after their first substantive observation, in one journal."""

    @cached_property
    def lanes(self) -> Mapping[str, tuple[Document, ...]]:
        """Every record of each lane."""
        found: dict[str, list[Document]] = defaultdict(list)
        for each in self.documents:
            if each.kind == "lane":
                name = each.path.stem.removeprefix("lane-")
                found[name].append(each)
        return {name: tuple(each) for name, each in found.items()}

    @cached_property
    def kills(self) -> tuple[Document, ...]:
        """Every kill matrix."""
        return tuple(each for each in self.documents if each.kind == "kills")

    @cached_property
    def outcomes(self) -> Mapping[str, tuple[Outcome, ...]]:
        """Every outcome of every test, by node."""
        return _group((each.node, each) for each in self.ends)

    @cached_property
    def homes(self) -> Mapping[str, tuple[str, ...]]:
        """The journals in which a test ended, by node; there may be only one."""
        return {
            node: tuple(dict.fromkeys(each.journal for each in ends))
            for node, ends in self.outcomes.items()
        }

    @cached_property
    def damage(self) -> tuple[tuple[str, str], ...]:
        """Name and damage of every damaged journal."""
        return tuple(
            (leaf.name, leaf.reading.damage) for leaf in self.leaves if leaf.reading.damage
        )

    @cached_property
    def flaws_of(self) -> Mapping[str, tuple[Flaw, ...]]:
        """The flaws of each test's observations, by node."""
        return _group((each.node, each) for each in self.flaws)

    @cached_property
    def deselected_tests(self) -> Mapping[str, tuple[str, ...]]:
        """Deselected tests of every claim that ended in no other run."""
        return _group(
            (claim, node)
            for node, claims in self.deselected.items()
            if node not in self.outcomes
            for claim in claims
        )

    @cached_property
    def nodes(self) -> Mapping[str, tuple[str, ...]]:
        """Tests of every claim, collected or ended."""
        found: dict[str, dict[str, None]] = defaultdict(dict)
        for node, claims in self.items.items():
            for claim in claims:
                found[claim][node] = None
        for node, ends in self.outcomes.items():
            for claim in (claim for end in ends for claim in end.claims):
                found[claim][node] = None
        return {claim: tuple(nodes) for claim, nodes in found.items()}

    @cached_property
    def scenarios(self) -> frozenset[str]:
        """Scenarios with at least one claim whose test was collected or ended."""
        return frozenset(claim.partition(".")[0] for claim in self.nodes)


def _group(pairs: Iterable[tuple[str, Value]]) -> Mapping[str, tuple[Value, ...]]:
    found: dict[str, list[Value]] = defaultdict(list)
    for key, value in pairs:
        found[key].append(value)
    return {key: tuple(values) for key, values in found.items()}


def merge(bundles: Sequence[Bundle]) -> Bundle:
    """Merge bundles into one, in their order."""
    if len(bundles) == 1:
        return bundles[0]
    items: dict[str, frozenset[str]] = {}
    deselected: dict[str, frozenset[str]] = {}
    sights: dict[str, dict[str, Sight | None]] = defaultdict(dict)
    for each in bundles:
        add_claims(items, each.items.items())
        add_claims(deselected, each.deselected.items())
        for node, seen in each.sights.items():
            for source, sight in seen.items():
                _add_sight(sights[node], source, sight)
    return Bundle(
        leaves=tuple(leaf for each in bundles for leaf in each.leaves),
        flaws=tuple(dict.fromkeys(flaw for each in bundles for flaw in each.flaws)),
        documents=tuple(document for each in bundles for document in each.documents),
        items=items,
        deselected=deselected,
        inventory=listings.merge_inventories(each.inventory for each in bundles),
        foreign=merge_all(each.foreign for each in bundles),
        ends=tuple(end for each in bundles for end in each.ends),
        sights=dict(sights),
        checked=frozenset[str]().union(*(each.checked for each in bundles)),
    )


def _add_sight(known: dict[str, Sight | None], source: str, sight: Sight | None) -> None:
    """Keep the first sight that has bytes; sights with bytes are in the order of the records."""
    if sight is None:
        known.setdefault(source, None)
    elif known.get(source) is None:
        known.pop(source, None)
        known[source] = sight


class Fold:
    """Takes the records of one run's directory one by one, and keeps none of them.

    Call :meth:`open` before the records of a journal, and :meth:`close` after them.
    """

    def __init__(self, folder: Path) -> None:
        self._blobs = folder / "blobs"
        self._known: dict[str, int | Problem] = {}  # the content of each blob name that was read
        self._leaves: list[JournalFile] = []
        self._flaws: dict[Flaw, None] = {}
        self._items: dict[str, frozenset[str]] = {}
        self._deselected: dict[str, frozenset[str]] = {}
        self._inventory = Inventory()
        self._foreign = ForeignFiles()
        self._ends: list[Outcome] = []
        self._sights: dict[str, dict[str, Sight | None]] = defaultdict(dict)
        self._checked: set[str] = set()
        self._looked: set[str] = set()  # tests with an observation in the current journal
        self._path = folder
        self._run = ""
        self._same: dict[Any, Any] = {}  # one object for equal values: most tests end alike
        self._rules: Mapping[str, Callable[[Record], object]] = {
            "start": self._begin,
            "collected": self._collect,
            "observation": self._observe,
            "assertion": self._assert,
            "outcome": self._end,
            "surroundings": self._note_surroundings,
        }

    def open(self, path: Path) -> None:
        """Begin a journal: its records come next."""
        self._path, self._run = path, ""
        self._looked.clear()

    def hear(self, record: Record) -> None:
        """Read a record and keep what a verdict needs."""
        rule = self._rules.get(record.kind)
        if rule is not None:
            rule(record)

    def close(self, reading: Reading) -> None:
        """End the current journal."""
        self._leaves.append(JournalFile(self._path, reading))

    def finish(self, documents: Sequence[Document] = ()) -> Bundle:
        """The run as a bundle, with the documents of its directory."""
        flaws = dict.fromkeys([*self._flaws, *_logs(self._blobs, documents)])
        return Bundle(
            leaves=tuple(self._leaves),
            flaws=tuple(flaws),
            documents=tuple(documents),
            items=self._items,
            deselected=self._deselected,
            inventory=self._inventory,
            foreign=self._foreign,
            ends=tuple(self._ends),
            sights=dict(self._sights),
            checked=frozenset(self._checked),
        )

    def _begin(self, record: Record) -> None:
        self._run = str(record.data["runId"])
        for name in run_files.list_sealed(record.data["binding"]):
            if isinstance(found := self._measure_blob(name), str):
                self._flaws[Flaw(f"{self._path.parent.name}/{self._path.name}", name, found)] = None

    def _collect(self, record: Record) -> None:
        for known, key in ((self._items, "items"), (self._deselected, "deselected")):
            add_claims(known, ((item["node"], item["claims"]) for item in record.data[key]))
        self._inventory = listings.merge_inventories(
            [self._inventory, listings.read_inventory([record.data])]
        )

    def _note_surroundings(self, record: Record) -> None:
        name = f"{self._path.parent.name}/{self._path.name}"
        self._foreign = self._foreign.merge(read_surroundings(name, record.data))

    def _observe(self, record: Record) -> None:
        said = record.data
        name, found = self._measure(record)
        if isinstance(found, str):
            self._flaws[Flaw(said["node"], name, found)] = None
        elif (said["digest"], said["size"]) != (name, found):
            self._flaws[Flaw(said["node"], name, "misstated")] = None
        if observations.is_substantive(said):
            node, source = said["node"], said["source"]
            self._looked.add(node)
            if self._sights[node].get(source) is None:
                _add_sight(self._sights[node], source, self._sight(said))

    def _measure(self, record: Record) -> tuple[str, int | Problem]:
        """Digest and size of the observation: of its blob, or without a blob of its facts."""
        name: str | None = record.data["blob"]
        if name is None:
            facts = observations.read_facts(record)
            return sha256(facts).hexdigest(), len(facts)
        return name, self._measure_blob(name)

    def _measure_blob(self, name: str) -> int | Problem:
        if name not in self._known:
            self._known[name] = run_files.measure_blob(self._blobs, name)
        return self._known[name]

    def _sight(self, said: Data) -> Sight | None:
        name = said["blob"]
        if not name:
            return None
        return Sight(f"{self._path.parent.name}/blobs/{name[:2]}/{name}", name, said["size"])

    def _assert(self, record: Record) -> None:
        if record.data["node"] in self._looked:
            self._checked.add(record.data["node"])

    def _end(self, record: Record) -> None:
        said = record.data
        self._ends.append(
            Outcome(
                node=said["node"],
                journal=self._share(f"{self._path.parent.name}/{self._path.name}"),
                run=self._run,
                attempt=said["attempt"],
                word=self._share(said["outcome"]),
                phases=self._share(tuple(map(str, said["phases"].values()))),
                voids=self._share(find_voids(said)),
                claims=self._share(tuple(said["claims"])),
                message=str(said.get("message", "")),
            )
        )

    def _share(self, value: Value) -> Value:
        shared: Value = self._same.setdefault(value, value)
        return shared


def load(paths: Sequence[Path], hear: Callable[[Record], object] = ignore_record) -> Bundle:
    """Read run directories as one bundle; ``hear`` gets every record.

    Raises BadInput for a path that is not a run directory, for links, too many files, and files
    that cannot be read.
    """
    bundles: list[Bundle] = []
    count = 0
    if not paths:
        raise BadInput("no bundle was named")
    try:
        for folder in paths:
            found, papers = run_files.list_contents(folder)
            count += len(found)
            count += run_files.count_files(folder / "blobs", run_files.MAX_FILES - count)
            fold = Fold(folder)
            for path in found:
                fold.open(path)
                fold.close(journal.read(path, hear_both(fold.hear, hear)))
            bundles.append(fold.finish([sealed.read(path, kind) for path, kind in papers]))
    except (OSError, ValueError) as error:
        raise BadInput(f"bundle: {error}") from error
    return merge(bundles)


def _logs(blobs: Path, documents: Sequence[Document]) -> Iterator[Flaw]:
    """The faults of the logs of lanes."""
    for each in documents:
        if each.kind == "lane" and not each.damage:
            for log in (each.data["log"], *(step["log"] for step in each.data["steps"])):
                found = run_files.measure_blob(blobs, log["sha256"])
                if isinstance(found, str):
                    yield Flaw(each.name, log["sha256"], found)
                elif found != log["bytes"]:
                    yield Flaw(each.name, log["sha256"], "misstated")
