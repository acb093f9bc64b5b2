"""The bundle: run directories read as one body of evidence, with every blob looked at."""

from __future__ import annotations

import os
import stat
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Literal

from pytest_spec11.canon import canonical
from pytest_spec11.errors import BadInput
from pytest_spec11.evidence import documents as sealed
from pytest_spec11.evidence import journal
from pytest_spec11.evidence.documents import Document
from pytest_spec11.evidence.journal import Reading, Record

MAX_FILES: Final = 200_000
MAX_JOURNAL: Final = 1 << 30
NOTHING: Final = sha256(b"").hexdigest()
_HEX: Final = frozenset("0123456789abcdef")

Data = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class JournalFile:
    """One journal of a run: where it lay and what could be read of it."""

    path: Path
    reading: Reading

    @property
    def start(self) -> Data:
        """The data of the first record; empty when there is none."""
        return self.reading.records[0].data if self.reading.records else {}

    @property
    def role(self) -> str:
        """Which process wrote it: main, controller, gw0 …; empty when it does not say."""
        return str(self.start.get("role", ""))

    @property
    def run(self) -> str:
        """The run it belongs to."""
        return str(self.start.get("runId", ""))

    @property
    def binding(self) -> Data:
        """What the process measured before it began."""
        found: Data = self.start.get("binding", {})
        return found

    @property
    def name(self) -> str:
        """Directory and file, short enough for a sentence."""
        return f"{self.path.parent.name}/{self.path.name}"


Problem = Literal["missing", "linked", "emptied", "altered", "misstated"]


@dataclass(frozen=True, slots=True)
class Flaw:
    """An observation whose bytes are not there, or are others than its record says."""

    node: str
    blob: str  # of what was kept in the record itself: its digest
    problem: Problem


@dataclass(frozen=True)
class Bundle:
    """All journals and all flaws of their blobs; the rest is views."""

    leaves: tuple[JournalFile, ...]
    flaws: tuple[Flaw, ...]
    documents: tuple[Document, ...] = ()

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

    def records(self, kind: str) -> Iterator[tuple[JournalFile, Record]]:
        """Every record of a kind, with the journal that holds it."""
        for leaf in self.leaves:
            for record in leaf.reading.records:
                if record.kind == kind:
                    yield leaf, record

    @cached_property
    def journals(self) -> tuple[tuple[str, Reading], ...]:
        """Role and reading of each journal."""
        return tuple((leaf.role, leaf.reading) for leaf in self.leaves)

    @cached_property
    def items(self) -> Mapping[str, frozenset[str]]:
        """Claims of every collected test, by node."""
        return self._claims_of("items")

    @cached_property
    def deselected(self) -> Mapping[str, frozenset[str]]:
        """Claims of every test that was taken out of the run, by node."""
        return self._claims_of("deselected")

    def _claims_of(self, key: str) -> Mapping[str, frozenset[str]]:
        found: dict[str, frozenset[str]] = {}
        for _, record in self.records("collected"):
            for item in record.data[key]:
                found[item["node"]] = found.get(item["node"], frozenset()) | {*item["claims"]}
        return found

    @cached_property
    def outcomes(self) -> Mapping[str, tuple[Data, ...]]:
        """Every outcome of every test, by node."""
        return self._by_node("outcome")

    @cached_property
    def homes(self) -> Mapping[str, tuple[str, ...]]:
        """The journals in which a test ended, by node; more than one is one too many."""
        found: dict[str, dict[str, None]] = defaultdict(dict)
        for leaf, record in self.records("outcome"):
            found[record.data["node"]][leaf.name] = None
        return {node: tuple(names) for node, names in found.items()}

    @cached_property
    def observations(self) -> Mapping[str, tuple[Data, ...]]:
        """What each test observed, by node."""
        return self._by_node("observation")

    @cached_property
    def assertions(self) -> Mapping[str, tuple[Data, ...]]:
        """What each test asserted, by node."""
        return self._by_node("assertion")

    @cached_property
    def provocations(self) -> tuple[Data, ...]:
        """Damage that tests did on purpose."""
        return tuple(record.data for _, record in self.records("provocation"))

    def _by_node(self, kind: str) -> Mapping[str, tuple[Data, ...]]:
        found: dict[str, list[Data]] = defaultdict(list)
        for _, record in self.records(kind):
            found[record.data["node"]].append(record.data)
        return {node: tuple(data) for node, data in found.items()}

    @cached_property
    def damage(self) -> tuple[tuple[str, str], ...]:
        """Journal and damage, of every journal that has one."""
        return tuple(
            (leaf.name, leaf.reading.damage) for leaf in self.leaves if leaf.reading.damage
        )

    @cached_property
    def nodes(self) -> Mapping[str, tuple[str, ...]]:
        """Tests of every claim, as collected or as they ended."""
        found: dict[str, dict[str, None]] = defaultdict(dict)
        for node, claims in self.items.items():
            for claim in claims:
                found[claim][node] = None
        for node, outcomes in self.outcomes.items():
            for claim in (claim for outcome in outcomes for claim in outcome["claims"]):
                found[claim][node] = None
        return {claim: tuple(nodes) for claim, nodes in found.items()}

    @cached_property
    def scenarios(self) -> frozenset[str]:
        """Scenarios of which at least one claim's test was collected or ended."""
        return frozenset(claim.partition(".")[0] for claim in self.nodes)

    @cached_property
    def checked(self) -> frozenset[str]:
        """Tests that asserted something after their first real observation, in one journal."""
        found: set[str] = set()
        for leaf in self.leaves:
            seen: set[str] = set()
            for record in leaf.reading.records:
                if record.kind == "observation" and is_substantive(record.data):
                    seen.add(record.data["node"])
                elif record.kind == "assertion" and record.data["node"] in seen:
                    found.add(record.data["node"])
        return frozenset(found)


def is_substantive(observation: Data) -> bool:
    """Whether an observation saw anything at all."""
    nothing = NOTHING in {observation["blob"], observation["digest"]}
    return not observation["empty"] and observation["size"] > 0 and not nothing


def load(paths: Sequence[Path]) -> Bundle:
    """Run directories merged into one bundle.

    Raises BadInput for what is no run directory, for links, for too many files, for unreadable
    ones.
    """
    leaves: list[JournalFile] = []
    flaws: list[Flaw] = []
    documents: list[Document] = []
    count = 0
    if not paths:
        raise BadInput("no bundle was named")
    try:
        for folder in paths:
            found, papers = _contents(folder)
            count += len(found) + _census(folder / "blobs", MAX_FILES - count - len(found))
            own = [JournalFile(path, journal.read(path)) for path in found]
            written = [sealed.read(path, kind) for path, kind in papers]
            leaves += own
            documents += written
            flaws += [*_flaws(folder / "blobs", own), *_logs(folder / "blobs", written)]
    except (OSError, ValueError) as error:
        raise BadInput(f"bundle: {error}") from error
    return Bundle(tuple(leaves), tuple(flaws), tuple(documents))


def _contents(folder: Path) -> tuple[list[Path], list[tuple[Path, str]]]:
    """The journals in ``folder``, and its documents with the shape that each should have."""
    if not folder.is_dir():
        raise BadInput(f"{folder}: not a directory")
    found = sorted(folder.glob("journal-*.ndjson"))
    papers = [(path, "lane") for path in sorted(folder.glob("lane-*.json"))]
    papers += [(path, "kills") for path in folder.glob("kills.json")]
    if not found and not papers:
        raise BadInput(f"{folder}: no journal-*.ndjson in it, no lane-*.json, no kills.json")
    for path in found:
        kind = path.lstat()
        if not stat.S_ISREG(kind.st_mode) or kind.st_size > MAX_JOURNAL:
            raise BadInput(f"{path}: not a regular file of at most {MAX_JOURNAL} bytes")
    return found, papers


def _census(folder: Path, allowed: int) -> int:
    """How many files lie in ``folder``, links not followed; refuses more than ``allowed``."""
    count = 0
    pending = [folder] if folder.is_dir() and not folder.is_symlink() else []
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(Path(entry.path))
                count += 1
                if count > allowed:
                    raise BadInput(f"more than {MAX_FILES} files")
    if count > allowed:
        raise BadInput(f"more than {MAX_FILES} files")
    return count


def _flaws(blobs: Path, leaves: Sequence[JournalFile]) -> Iterator[Flaw]:
    known: dict[str, int | Problem] = {}
    for _, record in Bundle(tuple(leaves), ()).records("observation"):
        said = record.data
        name, found = _kept(said, blobs, known)
        if isinstance(found, str):
            yield Flaw(said["node"], name, found)
        elif (said["digest"], said["size"]) != (name, found):
            yield Flaw(said["node"], name, "misstated")


def _logs(blobs: Path, documents: Sequence[Document]) -> Iterator[Flaw]:
    """What is wrong with the logs of lanes."""
    for each in documents:
        if each.kind == "lane" and not each.damage:
            for log in (each.data["log"], *(step["log"] for step in each.data["steps"])):
                found = _stored(blobs, log["sha256"])
                if isinstance(found, str):
                    yield Flaw(each.name, log["sha256"], found)
                elif found != log["bytes"]:
                    yield Flaw(each.name, log["sha256"], "misstated")


def _kept(said: Data, blobs: Path, known: dict[str, int | Problem]) -> tuple[str, int | Problem]:
    """Digest and size of what was read: a blob, or where there is none the facts themselves."""
    name: str | None = said["blob"]
    if name is None:
        facts = canonical(said["facts"])
        return sha256(facts).hexdigest(), len(facts)
    if name not in known:
        known[name] = _stored(blobs, name)
    return name, known[name]


def _stored(blobs: Path, name: str) -> int | Problem:
    """The number of bytes kept under ``name``, or what is wrong with them."""
    path = blobs / name[:2] / name
    if len(name) != sha256().digest_size * 2 or not _HEX.issuperset(name):
        return "missing"
    if any(each.is_symlink() for each in (blobs, path.parent, path)):
        return "linked"
    if not path.is_file():
        return "missing"
    with path.open("rb") as file:
        total, size = sha256(), 0
        while chunk := file.read(1 << 20):
            total.update(chunk)
            size += len(chunk)
    if total.hexdigest() == name:
        return size
    return "altered" if size else "emptied"
