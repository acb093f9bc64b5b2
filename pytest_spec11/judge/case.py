"""The judge's input and output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from pytest_spec11.evidence.bundle import Bundle
from pytest_spec11.evidence.documents import Document
from pytest_spec11.evidence.kept_runs import KeptRun
from pytest_spec11.judge.reasons import Reason
from pytest_spec11.requirements.catalogue import Catalogue
from pytest_spec11.requirements.policy import Policy

Standing = Literal["PASS", "UNKNOWN", "FAIL"]
Word = Literal["GO", "NO_GO"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The terms of a verdict: time, tree, scope and policy.

    ``here`` is the binding of the tree to release. Without it the evidence belongs to no tree, and
    the verdict is never GO. ``shards`` are those that must have run.
    """

    now_ms: int
    here: Mapping[str, object] | None
    scope: str
    policy: Policy
    shards: frozenset[str] = frozenset()
    uncommitted: tuple[str, ...] = ()  # files of the tree to release


@dataclass(frozen=True)
class Case:
    """Everything that a rule may read."""

    catalogue: Catalogue
    bundle: Bundle
    terms: Terms
    kept: tuple[KeptRun, ...] = ()  # other runs of the same tree

    @property
    def documents(self) -> tuple[Document, ...]:
        """The documents that can be read."""
        return tuple(each for each in self.bundle.documents if not each.damage)

    @cached_property
    def needed(self) -> tuple[str, ...]:
        """Every claim that GO needs, in the order of the catalogue."""
        return self.catalogue.list_needed(self.terms.scope, self.terms.policy.mandatory)

    def is_needed(self, claim: str) -> bool:
        """Whether GO needs this claim."""
        return claim in self.needed


@dataclass(frozen=True, slots=True)
class Verdict:
    """GO or NO_GO, every reason against GO, the claims that GO needs, and the status of each."""

    verdict: Word
    reasons: tuple[Reason, ...]
    claims: Mapping[str, Standing]
    needed: tuple[str, ...]

    @property
    def unproven(self) -> tuple[str, ...]:
        """The needed claims that are not proven."""
        return tuple(each for each in self.needed if self.claims[each] != "PASS")
