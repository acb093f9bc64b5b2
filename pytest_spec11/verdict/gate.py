"""The gate: judges bundles for a work tree and keeps what a reader of the verdict needs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_spec11.errors import BadInput
from pytest_spec11.evidence import binding, bundle, kept_runs
from pytest_spec11.evidence.bundle import Bundle
from pytest_spec11.evidence.journal import Record, ignore_record
from pytest_spec11.evidence.kept_runs import KeptRun
from pytest_spec11.judge import Case, Terms, Verdict, judge
from pytest_spec11.requirements import catalogue, policy
from pytest_spec11.requirements.catalogue import Catalogue
from pytest_spec11.verdict import weakenings as drift
from pytest_spec11.verdict.signoff import Signoff
from pytest_spec11.verdict.weakenings import Drift


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The question whether these bundles allow the tree at ``root`` a release at ``scope``."""

    bundles: Sequence[Path]
    root: Path
    scope: str
    app_version: str = ""
    catalogue: Path | None = None
    shards: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Judged:
    """The verdict, with everything that it is made of."""

    catalogue: Catalogue
    bundle: Bundle
    terms: Terms
    verdict: Verdict
    drift: Drift
    kept: tuple[KeptRun, ...] = ()

    @property
    def case(self) -> Case:
        """The judge's input."""
        return Case(self.catalogue, self.bundle, self.terms, self.kept)

    def document(self) -> dict[str, Any]:
        """The sign-off without the sum that seals it."""
        return Signoff(self.case, self.verdict, self.drift).document()


def evaluate(asked: Question, hear: Callable[[Record], object] = ignore_record) -> Judged:
    """Judge the bundles now; ``hear`` gets every record that the gate reads.

    It runs no test and no command. Raises BadInput, CannotJudge.
    """
    if not asked.root.is_dir():
        raise BadInput(f"{asked.root}: not a directory")
    claims, wanted = catalogue.load(asked.catalogue), policy.load(asked.root)
    evidence = bundle.load(asked.bundles, hear)
    terms = Terms(
        now_ms=time.time_ns() // 1_000_000,
        here=binding.measure(
            asked.root, wanted.choose_version(asked.app_version), asked.scope, claims.digest
        ),
        scope=asked.scope,
        policy=wanted,
        shards=asked.shards,
    )
    kept = find_kept(asked.bundles, asked.root, evidence, terms)
    verdict = judge(claims, evidence, terms, kept)
    moved = drift.measure(asked.root, asked.catalogue, claims, wanted)
    return Judged(claims, evidence, terms, verdict, moved, kept)


def find_kept(
    bundles: Sequence[Path], root: Path, evidence: Bundle, terms: Terms
) -> tuple[KeptRun, ...]:
    """The other kept runs of the tree that is judged; of none, when nobody knows the tree."""
    tree = str((terms.here or {}).get("tree", ""))
    if not tree:
        return ()
    gated = [leaf.reading.sha256 for leaf in evidence.leaves]
    return kept_runs.read_runs(kept_runs.find_runs(bundles, root), tree, gated)
