"""The gate: the one way from bundles to a verdict, for a run's own summary and for a release."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pytest_spec11.errors import BadInput
from pytest_spec11.evidence import binding, bundle, kept_runs
from pytest_spec11.evidence.bundle import Bundle
from pytest_spec11.evidence.journal import Record, ignore_record
from pytest_spec11.evidence.kept_runs import KeptRun
from pytest_spec11.judge import Case, Terms, Verdict, judge
from pytest_spec11.requirements import policy, tree_catalogue
from pytest_spec11.requirements.catalogue import Catalogue
from pytest_spec11.verdict import weakenings
from pytest_spec11.verdict.question import Question
from pytest_spec11.verdict.signoff import Signoff
from pytest_spec11.verdict.weakenings import Weakenings


@dataclass(frozen=True)
class Judged:
    """The verdict on a question, with everything that the judge was given."""

    question: Question
    case: Case
    verdict: Verdict

    @property
    def catalogue(self) -> Catalogue:
        """The claims."""
        return self.case.catalogue

    @property
    def bundle(self) -> Bundle:
        """The evidence."""
        return self.case.bundle

    @cached_property
    def weakenings(self) -> Weakenings:
        """What the tree asks less than its merge base. Raises CannotJudge."""
        asked = self.question
        return weakenings.measure(
            asked.root, asked.catalogue, self.catalogue, self.case.terms.policy
        )

    def document(self) -> dict[str, Any]:
        """The sign-off without the sum that seals it. Raises CannotJudge."""
        return Signoff(self.case, self.verdict, self.weakenings).document()


def evaluate(asked: Question, hear: Callable[[Record], object] = ignore_record) -> Judged:
    """Judge the bundles now; ``hear`` gets every record that the gate reads.

    It runs no test and no command. Raises BadInput, CannotJudge.
    """
    if not asked.root.is_dir():
        raise BadInput(f"{asked.root}: not a directory")
    claims, wanted = tree_catalogue.load(asked.root, asked.catalogue), policy.load(asked.root)
    evidence = bundle.load(asked.bundles, hear)
    here = binding.measure(
        asked.root, wanted.choose_version(asked.app_version), asked.scope, claims.digest
    )
    terms = Terms(
        now_ms=time.time_ns() // 1_000_000,
        here=here,
        uncommitted=tuple(binding.list_uncommitted(asked.root)) if here["dirty"] else (),
        scope=asked.scope,
        policy=wanted,
        shards=asked.shards,
    )
    kept = () if asked.is_alone else find_kept(asked.bundles, asked.root, evidence, terms)
    verdict = judge(claims, evidence, terms, kept)
    return Judged(asked, Case(claims, evidence, terms, kept), verdict)


def find_kept(
    bundles: Sequence[Path], root: Path, evidence: Bundle, terms: Terms
) -> tuple[KeptRun, ...]:
    """The other kept runs of the tree that is judged; of none, when nobody knows the tree."""
    tree = str((terms.here or {}).get("tree", ""))
    if not tree:
        return ()
    gated = [leaf.reading.sha256 for leaf in evidence.leaves]
    return kept_runs.read_runs(kept_runs.find_runs(bundles, root), tree, gated)
