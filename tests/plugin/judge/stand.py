"""A run in the making: records that make a GO, ways to spoil them, and the verdict on the rest."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pytest_spec11.evidence import binding as binding_module
from pytest_spec11.evidence import bundle
from pytest_spec11.evidence import documents as sealed
from pytest_spec11.evidence.bundle import Bundle
from pytest_spec11.evidence.journal import Journal, Record
from pytest_spec11.judge import Terms, Verdict, judge
from pytest_spec11.requirements import catalogue
from pytest_spec11.requirements.policy import Policy
from tests.plugin.judge.catalogues import COMMITTED, DOCUMENT, STRICT
from tests.plugin.judge.materialised import Held, view

A, B = "t.py::test_a", "t.py::test_b"
OF = {A: ["S1.a"], B: ["S1.b"]}
Entry = tuple[str, dict[str, Any]]


def observation_entry(node: str, source: str, **changes: Any) -> Entry:
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


def assertion_entry(node: str) -> Entry:
    return "assertion", {"node": node, "line": 1, "text": "x == y"}


def outcome_entry(node: str, outcome: str = "passed", attempt: int = 1, **changes: Any) -> Entry:
    data: dict[str, Any] = {
        "node": node,
        "attempt": attempt,
        "outcome": outcome,
        "phases": {"setup": "passed", "call": "passed", "teardown": "passed"},
        "claims": OF.get(node, []),
        "voids": [],
    }
    data |= changes
    return "outcome", {"witness": dict(data["phases"]), **data}


def collection_entry(
    items: list[tuple[str, list[str]]], deselected: tuple[tuple[str, list[str]], ...] = ()
) -> Entry:
    return "collected", {
        "items": [{"node": node, "claims": claims, "scenarios": []} for node, claims in items],
        "deselected": [{"node": node, "claims": claims} for node, claims in deselected],
        "defined": [],
        "selected": [node.partition("[")[0] for node, _ in items],
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
    policy: Policy = field(default_factory=Policy)
    shards: frozenset[str] = frozenset()
    now_ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)
    kept: list[bytes] = field(default_factory=list)
    posture: dict[str, str] = field(default_factory=dict)
    run: str = "r1"
    role: str = "main"
    exit_status: int = 0
    pid: int = 1
    nonce: str = ""  # one for all runs, instead of one for each
    more: dict[str, Any] = field(default_factory=dict)  # what else its start says
    sealed: bool = True
    others: dict[str, dict[str, Any]] = field(default_factory=dict)
    after: list[Callable[[Path], object]] = field(default_factory=list)
    surroundings: dict[str, Any] | None = field(default_factory=lambda: dict(COMMITTED))
    is_mutated: bool = True  # mutants were tried, and every claim was seen red

    def write(self, folder: Path) -> Path:
        self._journal(folder, self.role, self.bound, self.entries)
        for role, bound in self.others.items():
            self._journal(folder, role, bound, [])
        if self.is_mutated:
            write_kills(folder, [], self.bound)
        for damage in self.after:
            damage(folder)
        return folder

    def _journal(
        self, folder: Path, role: str, bound: dict[str, Any], entries: list[Entry]
    ) -> None:
        made = Journal(folder / f"journal-{role}.ndjson", folder / "blobs")
        for content in (b"seen", *self.kept):
            made.blob(content)
        said = {
            "runId": self.run,
            "nonce": self.nonce or f"of {self.run}",
            "role": role,
            "pid": self.pid,
            "binding": bound,
        }
        made.start(**said, posture=self.posture, **self.more)
        for kind, data in entries:
            made.write(kind, **data)
        if self.surroundings is not None:
            made.write("surroundings", **self.surroundings)
        if self.sealed:
            made.seal(exitStatus=self.exit_status)
        made.close()

    def judge(self, folder: Path) -> Verdict:
        return self.verdict(bundle.load([folder]))

    def verdict(self, evidence: Bundle) -> Verdict:
        return self.judge_by(evidence, self.terms)

    def judge_by(self, evidence: Bundle, terms: Terms) -> Verdict:
        return judge(self.claims, evidence, terms)

    @property
    def terms(self) -> Terms:
        return Terms(
            now_ms=self.now_ms,
            here=self.here,
            scope=self.scope,
            policy=self.policy,
            shards=self.shards,
        )

    def in_memory(self, extra: list[Entry]) -> Bundle:
        head = {
            "runId": self.run,
            "nonce": f"of {self.run}",
            "role": "main",
            "pid": 1,
            "binding": self.bound,
        }
        told = [
            ("start", head),
            *self.entries,
            *extra,
            ("surroundings", COMMITTED),
            ("seal", {"exitStatus": 0}),
        ]
        records = tuple(
            Record(seq, kind, time.time_ns() // 1_000_000, data)
            for seq, (kind, data) in enumerate(told)
        )
        made = view([Held(Path("r/journal-main.ndjson"), records)])
        with TemporaryDirectory() as place:
            write_kills(Path(place), [], self.bound)
            return replace(made, documents=(sealed.read(Path(place) / "kills.json", "kills"),))


def happy(claims: catalogue.Catalogue) -> Stand:
    bound: dict[str, Any] = dict.fromkeys(binding_module.KEYS, "x")
    bound |= {"dirty": False, "catalogue": claims.digest, "scope": "signoff"}
    seen = sha256(b"seen").hexdigest()
    entries = [
        collection_entry([(A, ["S1.a"]), (B, ["S1.b"])]),
        observation_entry(A, "api", blob=seen, digest=seen, size=4),
        observation_entry(A, "sql:app"),
        assertion_entry(A),
        outcome_entry(A),
        observation_entry(B, "api"),
        assertion_entry(B),
        outcome_entry(B),
    ]
    return Stand(claims, bound, deepcopy(bound), entries, kept=[claims.content])


def small(folder: Path) -> catalogue.Catalogue:
    path = folder / "catalogue.json"
    path.write_text(json.dumps(DOCUMENT))
    return catalogue.load(path)


def strict() -> catalogue.Catalogue:
    return catalogue.parse_catalogue(deepcopy(STRICT))


Change = Callable[[Stand], object]


def setting(**changes: Any) -> Change:
    return lambda stand: stand.__dict__.update(changes)


def both(*changes: Change) -> Change:
    return lambda stand: [change(stand) for change in changes]


def change_binding(**changes: Any) -> Change:
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


def write_lane(folder: Path, lane: str, binding: dict[str, Any], **changes: Any) -> None:
    """A record of a lane, green but for ``changes``, with its log."""
    said = b"all is well\n"
    name = sha256(said).hexdigest()
    (folder / "blobs" / name[:2]).mkdir(parents=True, exist_ok=True)
    (folder / "blobs" / name[:2] / name).write_bytes(said)
    now = time.time_ns() // 1_000_000
    log = {"sha256": name, "bytes": len(said)}
    ends = {"startedAt": now - 100, "finishedAt": now - 50}
    step = {"name": "all", "command": ["make", lane], "exitCode": 0, "log": log, **ends}
    document = {
        "schema": "spec11/lane/1",
        "lane": lane,
        "run": {"id": "r1", "nonce": "n"},
        "release": "the first",
        "binding": {**dict.fromkeys(binding_module.KEYS, "x"), "dirty": False, **binding},
        "command": ["spec11", "lane", lane],
        "exitCode": 0,
        "log": log,
        "steps": [step],
        **ends,
    }
    sealed.write(folder / f"lane-{lane}.json", "lane", document | changes)


def cell(saboteur: str, claim: str, **changes: Any) -> dict[str, Any]:
    """A kill, or a benign twin, as it should be."""
    benign = saboteur.endswith(".none")
    text = "" if benign else "E-FAILED: 500 == 200"
    row: dict[str, Any] = {
        "saboteur": saboteur,
        "claim": claim,
        "hits": 3,
        "before": "PASS",
        "during": "PASS" if benign else "FAIL",
        "reason": None if benign else {"code": "E-FAILED", "text": text},
        "expected": "" if benign else "500 == 200",
        "after": "PASS",
        "redAt": 0 if benign else time.time_ns() // 1_000_000,
        "greenAt": time.time_ns() // 1_000_000,
    }
    return row | changes


def shorter(path: Path) -> None:
    """The file has lost its last byte."""
    path.write_bytes(path.read_bytes()[:-1])


def red_claim(claim: str, source: str, node: str, **changes: Any) -> dict[str, Any]:
    """A claim that was seen red by a mutant of what its test read, and green again."""
    now = time.time_ns() // 1_000_000
    row: dict[str, Any] = {
        "claim": claim,
        "source": source,
        "tried": 3,
        "killed": 2,
        "node": node,
        "mutant": "r: $.a changed",
        "field": "$.a",
        "text": "AssertionError: assert 2 == 1",
        "redAt": now - 70,
        "greenAt": now - 60,
    }
    return row | changes


def mutation(*rows: dict[str, Any]) -> dict[str, Any]:
    """What mutants showed of the claims of a release."""
    return {
        "seed": "s",
        "suiteMs": 1000,
        "budgetMs": 2000,
        "spentMs": 1500,
        "exhaustive": False,
        "passes": 2,
        "claims": list(rows or RED),
        "unseen": [],
    }


RED = (red_claim("S1.a", "api", A), red_claim("S1.a", "sql:app", A), red_claim("S1.b", "api", B))


def write_kills(
    folder: Path, cells: list[dict[str, Any]], binding: dict[str, Any], **changes: Any
) -> None:
    now = time.time_ns() // 1_000_000
    document = {
        "mutation": mutation(),
        "schema": "spec11/kills/1",
        "run": {"id": "r1", "nonce": "n"},
        "binding": {**dict.fromkeys(binding_module.KEYS, "x"), "dirty": False, **binding},
        "startedAt": now - 100,
        "finishedAt": now - 50,
        "cells": cells,
    }
    sealed.write(folder / "kills.json", "kills", document | changes)
