"""Green runs: what the tests of a bundle read, how long they took, and how the run was started."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Final

from pytest_spec11.errors import BadInput
from pytest_spec11.evidence import journal
from pytest_spec11.evidence.journal import Record
from pytest_spec11.mutants.candidates import Reading, list_mutants, make_reading
from pytest_spec11.mutants.mutant import Mutant

_READ_MOST: Final = 4 << 20  # bytes of a reading that is looked into; a larger one is left out


@dataclass
class GreenTest:
    """A test that passed: what it proves, and what it read."""

    node: str
    claims: frozenset[str]
    took_s: float
    seen: list[tuple[dict[str, Any], Path]] = field(default_factory=list)

    @property
    def sources(self) -> frozenset[str]:
        """Through which it read anything."""
        return frozenset(said["source"] for said, _ in self.seen if not said["empty"])

    def list_mutants(self, seed: str, *, exhaustive: bool) -> dict[str, list[Mutant]]:
        """By source, mutants of what it read."""
        read = (
            make_reading(said, partial(_load_blob, said["blob"], blobs))
            for said, blobs in self.seen
        )
        found = [each for each in read if isinstance(each, Reading)]
        return list_mutants(found, seed, exhaustive=exhaustive)


def _load_blob(name: str | None, blobs: Path) -> bytes | None:
    if name is None:
        return None
    path = blobs / name[:2] / name
    return path.read_bytes() if path.stat().st_size <= _READ_MOST else b""


@dataclass(frozen=True)
class GreenRun:
    """One run of a bundle: its command, its tests that passed, and how long it all took."""

    path: Path
    command: tuple[str, ...]
    tests: dict[str, GreenTest]
    took_s: float
    has_workers: bool
    app_version: str

    @cached_property
    def files(self) -> dict[str, float]:
        """Seconds that the tests of each file took."""
        found: dict[str, float] = defaultdict(float)
        for each in self.tests.values():
            found[each.node.partition("::")[0]] += each.took_s
        return dict(found)


def read_runs(bundles: Sequence[Path]) -> list[GreenRun]:
    """The runs of these bundles. Raises BadInput for one that does not say how it was started."""
    return [_read_run(each) for each in bundles if any(each.glob("journal-*.ndjson"))]


def _read_run(bundle: Path) -> GreenRun:
    fold = _Fold()
    for path in sorted(bundle.glob("journal-*.ndjson")):
        fold.blobs, fold.before_ms = bundle / "blobs", 0
        journal.read(path, fold.hear)
    command = fold.start.get("command")
    if not isinstance(command, list) or not command:
        raise BadInput(f"{bundle}: does not say by which command it was run; run it again")
    began_ms = min(fold.first_ms, fold.start.get("beganAt", fold.first_ms))
    took_s = (fold.last_ms - began_ms) / 1000
    return GreenRun(
        path=bundle,
        command=tuple(command),
        tests=fold.tests,
        took_s=took_s,
        has_workers=fold.start["role"] != "main",
        app_version=str(fold.start["binding"].get("appVersion", "")),
    )


class _Fold:
    """The records of one run."""

    def __init__(self) -> None:
        self.start: dict[str, Any] = {}
        self.tests: dict[str, GreenTest] = {}
        self.first_ms = self.last_ms = self.before_ms = 0
        self.blobs = Path()
        self._seen: dict[str, list[tuple[dict[str, Any], Path]]] = defaultdict(list)

    def hear(self, record: Record) -> None:
        self.first_ms = min(self.first_ms or record.at, record.at)
        self.last_ms = max(self.last_ms, record.at)
        data = dict(record.data)
        if record.kind == "start" and data["role"] in {"main", "controller"}:
            self.start = data
        elif record.kind == "observation" and data["node"]:
            self._seen[data["node"]].append((data, self.blobs))
        elif record.kind == "outcome":
            self._end(data, record.at)
        if record.kind in {"collected", "outcome"}:
            self.before_ms = record.at

    def _end(self, data: dict[str, Any], at_ms: int) -> None:
        node, took_s = data["node"], (at_ms - (self.before_ms or at_ms)) / 1000
        if data["outcome"] == "passed" and not data["voids"]:
            seen = self._seen.pop(node, [])
            self.tests[node] = GreenTest(node, frozenset(data["claims"]), took_s, seen)
