"""Kept runs: the other runs of the same tree that lie beside a bundle, and what was red in them.

A run is looked for in three places: next to each given bundle, around a release directory that
holds one, and in the work tree's own directory of evidence. A sabotaged run is none of them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Any, Final, NamedTuple

from pytest_spec11.errors import BadInput
from pytest_spec11.evidence import journal
from pytest_spec11.evidence.journal import MAX_LINE, TORN, Reading, Record
from pytest_spec11.evidence.outcome import BAD
from pytest_spec11.evidence.run_files import MAX_JOURNAL

HOME: Final = ".spec11"  # the directory of evidence, in a work tree
_RELEASE: Final = "release-*"  # a directory of runs in it
_INTERRUPTED: Final = 2  # pytest's exit status after Ctrl-C
_UNKNOWN: Final = "its tree cannot be read"


class JournalRef(NamedTuple):
    """A journal of a kept run, by its name and its bytes."""

    ref: str
    sha256: str


class Red(NamedTuple):
    """A test that was red: by which word, and with what message."""

    node: str
    word: str  # failed, error, or crashed: its process died while it ran
    message: str


@dataclass(frozen=True, slots=True)
class KeptRun:
    """One kept run: which tests ended in it, and which of them were red."""

    path: Path
    journals: tuple[JournalRef, ...]
    ended: frozenset[str]
    reds: Mapping[str, Red]
    damage: str = ""  # why it cannot be read, or not all of it
    is_of_tree: bool = True  # False: nobody can say of which tree it is

    @property
    def name(self) -> str:
        """The name of its directory."""
        return self.path.name


def find_runs(bundles: Sequence[Path], root: Path) -> list[Path]:
    """Every other run's directory in the three places, once, by the name of the directory."""
    bases = [root / HOME]
    for each in bundles:
        parent = each.resolve().parent
        bases.append(each.parent if each.name not in {"", ".", ".."} else parent)
        if parent.match(_RELEASE):
            bases.append(parent.parent)
    found = {run.resolve(): run for base in bases for run in list_runs(base)}
    for each in bundles:
        found.pop(each.resolve(), None)  # what is judged is read already
    return sorted(found.values(), key=lambda run: (run.name, str(run)))


def list_runs(base: Path) -> Iterator[Path]:
    """The runs in a directory of evidence, and in the release directories in it."""
    for folder in (base, *sorted(base.glob(_RELEASE))):
        if folder.is_dir():
            yield from (each for each in sorted(folder.iterdir()) if holds_journal(each))


def holds_journal(folder: Path) -> bool:
    """Whether a directory is that of a run."""
    return folder.is_dir() and any(folder.glob("journal-*.ndjson"))


def read_runs(found: Iterable[Path], tree: str, gated: Iterable[str] = ()) -> tuple[KeptRun, ...]:
    """The runs of ``tree`` among those that were found, each once.

    ``gated`` are the digests of the journals that are judged: a run of these alone is not another.
    A run that cannot be read is among them, with its damage.
    """
    known: set[frozenset[str]] = set()
    own, runs = frozenset(gated), []
    for path in found:
        run = _read(path, tree)
        if run is None:
            continue
        digests = frozenset(each.sha256 for each in run.journals)
        if digests not in known and not (digests and digests <= own):
            known.add(digests)
            runs.append(run)
    return tuple(runs)


def _read(folder: Path, tree: str) -> KeptRun | None:
    """The run in ``folder``; None when it is of another tree, or sabotaged on purpose."""
    paths = sorted(folder.glob("journal-*.ndjson"))
    try:
        starts = [_read_start(path) for path in paths]
        if any(start.get("saboteurs") for start in starts):
            return None
        trees = {start.get("binding", {}).get("tree") for start in starts}
        if tree not in trees:
            return None if trees - {None} else _unreadable(folder, paths)
        return _fold(folder, paths)
    except (OSError, BadInput) as error:
        return KeptRun(folder, (), frozenset(), {}, f"cannot be read: {error}"[:300])


def _read_start(path: Path) -> Mapping[str, Any]:
    """The data of a journal's first record; empty when it cannot be read."""
    if not path.is_file() or path.is_symlink() or path.stat().st_size > MAX_JOURNAL:
        return {}
    with path.open("rb") as file:
        line = file.readline(MAX_LINE)
    try:
        data = json.loads(line)["data"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return {}
    sound = isinstance(data, dict) and isinstance(data.get("binding"), dict)
    return data if sound else {}


def _unreadable(folder: Path, paths: Sequence[Path]) -> KeptRun:
    refs = [_refer(path, _digest(path)) for path in paths if path.is_file()]
    return KeptRun(folder, tuple(refs), frozenset(), {}, _UNKNOWN, is_of_tree=False)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _refer(path: Path, digest: str) -> JournalRef:
    return JournalRef(f"{path.resolve().parent.name}/{path.name}", digest)


def _fold(folder: Path, paths: Sequence[Path]) -> KeptRun:
    refs, damage = [], ""
    ended: set[str] = set()
    reds: dict[str, Red] = {}
    for path in paths:
        history = _History()
        reading = journal.read(path, history.hear)
        refs.append(_refer(path, reading.sha256))
        if reading.damage and not reading.damage.startswith(TORN):
            damage = damage or f"{path.name}: {reading.damage}"
        ended |= history.ended
        for red in history.find_reds(reading):
            reds.setdefault(red.node, red)
    return KeptRun(folder, tuple(refs), frozenset(ended), reds, damage)


class _History:
    """How the tests of one journal ended, and which of them was under way at its end."""

    def __init__(self) -> None:
        self.ended: set[str] = set()
        self._collected: tuple[str, ...] = ()
        self._reds: dict[str, Red] = {}
        self._broken_off: dict[str, Red] = {}  # neither failed nor came to the end
        self._under_way = ""

    def hear(self, record: Record) -> None:
        data = record.data
        if record.kind == "outcome":
            self._end(data)
        elif record.kind in {"observation", "assertion"}:
            self._under_way = data["node"] or self._under_way
        elif record.kind == "collected":
            self._collected = tuple(item["node"] for item in data["items"])
        elif isinstance(node := data.get("crashed"), str):
            self._reds[node] = Red(node, "crashed", "its process died")

    def _end(self, data: Mapping[str, Any]) -> None:
        node, word = data["node"], data["outcome"]
        self.ended.add(node)
        if node == self._under_way:
            self._under_way = ""
        bad = not BAD.isdisjoint(map(str, data["phases"].values())) or bool(data["voids"])
        red = Red(node, word if word in BAD else "failed", str(data.get("message", "")))
        if bad or word == "failed":
            self._reds.setdefault(node, red)
        elif word == "error":
            self._broken_off.setdefault(node, red)

    def find_reds(self, reading: Reading) -> Iterator[Red]:
        """The tests that were red. One that Ctrl-C broke off is not, one whose process died is."""
        yield from self._reds.values()
        if reading.exit_status != _INTERRUPTED:
            yield from self._broken_off.values()
        if not reading.sealed and not _is_alive(reading.start.get("pid")):
            waiting = (each for each in self._collected if each not in self.ended)
            alone = str(reading.start.get("role")) == "main"
            node = self._under_way or (next(waiting, "") if alone else "")
            if node:
                yield Red(node, "crashed", "its process died")


def _is_alive(pid: object) -> bool:
    """Whether a process still writes: a run under way is not red for what it has not ended."""
    if not isinstance(pid, int) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True
