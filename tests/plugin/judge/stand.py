"""A run in the making: records that make a GO, ways to spoil them, and the verdict on the rest."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from pytest_spec11 import binding, bundle, catalogue
from pytest_spec11.bundle import Bundle, Leaf
from pytest_spec11.journal import Journal, Reading, Record
from pytest_spec11.judge import Verdict, judge

A, B = "t.py::test_a", "t.py::test_b"
SCOPES = ["signoff", "live-smoke"]
DOCUMENT = {
    "scenarios": [
        {
            "id": "S1",
            "title": "First",
            "claims": [
                {"id": "S1.a", "text": "a", "sources": ["api", "sql:app"], "scopes": SCOPES},
                {"id": "S1.b", "text": "b", "sources": ["api"], "scopes": SCOPES},
                {
                    "id": "S1.k",
                    "text": "k",
                    "sources": ["api"],
                    "scopes": SCOPES,
                    "mandatory": False,
                },
            ],
        },
        {
            "id": "S2",
            "title": "Second",
            "claims": [
                {"id": "S2.live", "text": "l", "sources": ["api"], "scopes": ["live-smoke"]}
            ],
        },
    ]
}
Entry = tuple[str, dict[str, Any]]


def observed(node: str, source: str, **changes: Any) -> Entry:
    data: dict[str, Any] = {
        "node": node,
        "source": source,
        "ref": "r",
        "digest": sha256(b"{}").hexdigest(),
        "size": 2,
        "blob": None,
        "facts": {},
        "empty": False,
    }
    return "observation", data | changes


def asserted(node: str) -> Entry:
    return "assertion", {"node": node, "line": 1, "text": "x == y"}


def ended(node: str, outcome: str = "passed", attempt: int = 1, **changes: Any) -> Entry:
    data: dict[str, Any] = {
        "node": node,
        "attempt": attempt,
        "outcome": outcome,
        "phases": {"setup": "passed", "call": "passed", "teardown": "passed"},
        "claims": [],
        "voids": [],
    }
    return "outcome", data | changes


def collected(
    items: list[tuple[str, list[str]]], deselected: tuple[tuple[str, list[str]], ...] = ()
) -> Entry:
    return "collected", {
        "items": [{"node": node, "claims": claims, "scenarios": []} for node, claims in items],
        "deselected": [{"node": node, "claims": claims} for node, claims in deselected],
    }


def crew(expected: list[str], lost: list[str]) -> Entry:
    return "workers", {"expected": expected, "lost": lost}


@dataclass
class Stand:
    """A run in the making: change it, then write and judge it."""

    claims: catalogue.Catalogue
    bound: dict[str, Any]
    here: dict[str, Any] | None
    entries: list[Entry]
    scope: str = "signoff"
    now_ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)
    run: str = "r1"
    role: str = "main"
    exit_status: int = 0
    sealed: bool = True
    others: dict[str, dict[str, Any]] = field(default_factory=dict)
    after: list[Callable[[Path], object]] = field(default_factory=list)

    def write(self, folder: Path) -> Path:
        self._journal(folder, self.role, self.bound, self.entries)
        for role, bound in self.others.items():
            self._journal(folder, role, bound, [])
        for damage in self.after:
            damage(folder)
        return folder

    def _journal(
        self, folder: Path, role: str, bound: dict[str, Any], entries: list[Entry]
    ) -> None:
        made = Journal(folder / f"journal-{role}.ndjson", folder / "blobs")
        made.blob(b"seen")
        made.start(runId=self.run, nonce="n", role=role, pid=1, binding=bound)
        for kind, data in entries:
            made.write(kind, **data)
        if self.sealed:
            made.seal(exitStatus=self.exit_status)
        made.close()

    def judge(self, folder: Path) -> Verdict:
        return self.verdict(bundle.load([folder]))

    def verdict(self, evidence: Bundle) -> Verdict:
        return judge(self.claims, evidence, self.now_ms, self.here, self.scope)

    def in_memory(self, extra: list[Entry]) -> Bundle:
        head = {"runId": self.run, "nonce": "n", "role": "main", "pid": 1, "binding": self.bound}
        told = [("start", head), *self.entries, *extra, ("seal", {"exitStatus": 0})]
        records = tuple(
            Record(seq, kind, time.time_ns() // 1_000_000, data)
            for seq, (kind, data) in enumerate(told)
        )
        return Bundle((Leaf(Path("r/journal-main.ndjson"), Reading(records, None, True)),), ())  # noqa: FBT003


def happy(claims: catalogue.Catalogue) -> Stand:
    bound: dict[str, Any] = dict.fromkeys(binding.KEYS, "x")
    bound |= {"dirty": False, "catalogue": claims.digest, "scope": "signoff"}
    seen = sha256(b"seen").hexdigest()
    entries = [
        collected([(A, ["S1.a"]), (B, ["S1.b"])]),
        observed(A, "api", blob=seen, digest=seen, size=4),
        observed(A, "sql:app"),
        asserted(A),
        ended(A),
        observed(B, "api"),
        asserted(B),
        ended(B),
    ]
    return Stand(claims, bound, deepcopy(bound), entries)


def small(folder: Path) -> catalogue.Catalogue:
    path = folder / "catalogue.json"
    path.write_text(json.dumps(DOCUMENT))
    return catalogue.load(path)


Change = Callable[[Stand], object]


def setting(**changes: Any) -> Change:
    return lambda stand: stand.__dict__.update(changes)


def both(*changes: Change) -> Change:
    return lambda stand: [change(stand) for change in changes]


def bound(**changes: Any) -> Change:
    return lambda stand: stand.bound.update(changes)


def here(**changes: Any) -> Change:
    return lambda stand: stand.here.update(changes) if stand.here is not None else None


def adding(*entries: Entry) -> Change:
    return lambda stand: stand.entries.extend(deepcopy(entries))


def without(*places: int) -> Change:
    def change(stand: Stand) -> None:
        stand.entries = [it for place, it in enumerate(stand.entries) if place not in places]

    return change


def instead(place: int, entry: Entry) -> Change:
    return lambda stand: stand.entries.__setitem__(place, deepcopy(entry))


def other(role: str, **changes: Any) -> Change:
    return lambda stand: stand.others.__setitem__(role, stand.bound | changes)


def later(damage: Callable[[Path], object]) -> Change:
    return lambda stand: stand.after.append(damage)


def rewrite(change: Callable[[bytes], bytes]) -> Change:
    def damage(folder: Path) -> None:
        path = folder / "journal-main.ndjson"
        path.write_bytes(change(path.read_bytes()))

    return later(damage)


def every_blob(change: Callable[[Path], object]) -> Change:
    return later(lambda folder: [change(path) for path in (folder / "blobs").glob("*/*")])


def lines_of(content: bytes) -> list[bytes]:
    return content.splitlines(keepends=True)


def move_now(hours: float) -> Change:
    def change(stand: Stand) -> None:
        stand.now_ms += int(hours * 3_600_000)

    return change
