"""The dossier: a verdict and its evidence as plain values, in the order in which a person asks.

Every document is made of it and of nothing else, so that no two of them tell different stories.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from pytest_spec11.evidence.outcome import Outcome
from pytest_spec11.judge.kills import is_seen_red, survivor
from pytest_spec11.judge.reasons import Reason
from pytest_spec11.requirements.catalogue import Claim
from pytest_spec11.verdict.gate import Judged, evaluate
from pytest_spec11.verdict.question import Question
from reports.excerpts import Excerpt, Excerpts, Sight

SLOWEST: Final = 20
VERDICT: Final = "release verdict"  # the name of the verdict where it stands among tests


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """One test as it ended. Times in epoch milliseconds; 0 where the journal has none."""

    node: str
    outcome: str
    message: str
    claims: tuple[str, ...]
    started_at: int
    ended_at: int
    sights: Excerpt[Sight]
    assertions: Excerpt[str]

    @property
    def duration_ms(self) -> int:
        """From the first thing it observed to its end."""
        return max(0, self.ended_at - self.started_at)

    @property
    def file(self) -> str:
        """The file that holds it."""
        return self.node.partition("::")[0]

    @property
    def name(self) -> str:
        """Its name within the file, parameters included."""
        return self.node.partition("::")[2] or self.node


@dataclass(frozen=True, slots=True)
class Kill:
    """One cell of the kill matrix: when the claim was seen red under it, and by what words."""

    saboteur: str
    word: str  # killed, survived, not tried
    red_at: int = 0  # epoch milliseconds; 0: never
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """How a claim stands, and all that speaks for and against it."""

    claim: Claim
    needed: bool
    standing: str
    reasons: tuple[Reason, ...]
    seen: tuple[str, ...]
    tests: tuple[Test, ...]
    kills: tuple[Kill, ...]
    unseen: tuple[str, ...] = ()  # what can change although the claim stays green

    @property
    def green_at(self) -> int:
        """When a test of it last passed, epoch milliseconds; 0: never."""
        return max((each.ended_at for each in self.tests if each.outcome == "passed"), default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """One scenario and its claims."""

    id: str
    title: str
    summary: str
    stands: tuple[Stand, ...]

    @property
    def proven(self) -> int:
        """How many of its needed claims are proven."""
        return sum(each.needed and each.standing == "PASS" for each in self.stands)

    @property
    def needed_count(self) -> int:
        """How many of its claims are needed."""
        return sum(each.needed for each in self.stands)


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerRow:
    """A trigger, and whether the evidence shows that it takes a GO back and lets go again."""

    label: str
    stands: tuple[Stand, ...]

    @property
    def missing(self) -> tuple[str, ...]:
        """Its claims that are not proven."""
        return tuple(each.claim.id for each in self.stands if each.standing != "PASS")

    @property
    def last_seen_ms(self) -> int:
        """When that was last seen, epoch milliseconds; 0: never."""
        return min((each.green_at for each in self.stands), default=0)


@dataclass(frozen=True)
class Dossier:
    """All that is told of one verdict."""

    judged: Judged
    excerpts: Excerpts

    @classmethod
    def of(cls, asked: Question) -> Dossier:
        """The verdict on what is asked; the bundles are read once. Raises BadInput, CannotJudge."""
        excerpts = Excerpts()
        return cls(evaluate(asked, excerpts.hear), excerpts)

    @cached_property
    def document(self) -> dict[str, Any]:
        """The sign-off."""
        return self.judged.document()

    @property
    def go(self) -> bool:
        """Whether the verdict is GO."""
        return self.judged.verdict.verdict == "GO"

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Everything against GO, in the order in which a person should look at it."""
        return self.judged.verdict.reasons

    @property
    def lines(self) -> list[str]:
        """A sentence for each reason."""
        return [f"{each.code} {each.subject}: {each.text}" for each in self.reasons]

    @cached_property
    def groups(self) -> list[tuple[str, list[Reason]]]:
        """The reasons by their code."""
        found: dict[str, list[Reason]] = defaultdict(list)
        for each in self.reasons:
            found[each.code].append(each)
        return [*found.items()]

    @property
    def needed_count(self) -> int:
        """How many claims GO needs."""
        return len(self.judged.verdict.needed)

    @property
    def proven_count(self) -> int:
        """How many of these are proven."""
        return self.needed_count - len(self.judged.verdict.unproven)

    @cached_property
    def tests(self) -> tuple[Test, ...]:
        """Every test that ended, in the order of their ends."""
        found = map(self._test, self.judged.bundle.ends)
        return tuple(sorted(found, key=lambda test: (test.ended_at, test.node)))

    @cached_property
    def slowest(self) -> list[Test]:
        """The tests that took the longest, longest first."""
        return sorted(self.tests, key=lambda test: -test.duration_ms)[:SLOWEST]

    @cached_property
    def chapters(self) -> tuple[Chapter, ...]:
        """Every scenario of the catalogue with all its claims."""
        return tuple(
            Chapter(
                id=each.id,
                title=each.title,
                summary=each.summary,
                stands=tuple(map(self._stand, each.claims)),
            )
            for each in self.judged.catalogue.scenarios
        )

    @cached_property
    def watches(self) -> tuple[TriggerRow, ...]:
        """Every trigger of the catalogue."""
        stands = {each.claim.id: each for chapter in self.chapters for each in chapter.stands}
        return tuple(
            TriggerRow(label=each.label, stands=tuple(stands[id_] for id_ in each.claims))
            for each in self.judged.catalogue.triggers
        )

    def _test(self, end: Outcome) -> Test:
        seen = self.excerpts.of(end.node)
        return Test(
            node=end.node,
            outcome=end.word,
            message=end.message,
            claims=end.claims,
            started_at=seen.started_at,
            ended_at=seen.ended_at,
            sights=seen.sights,
            assertions=seen.assertions,
        )

    @cached_property
    def by_claim(self) -> Mapping[str, list[Test]]:
        """The tests of each claim that has some, in the order of their ends."""
        found: dict[str, list[Test]] = defaultdict(list)
        for test in self.tests:
            for claim in test.claims:
                found[claim].append(test)
        return found

    def _stand(self, claim: Claim) -> Stand:
        tests = tuple(self.by_claim.get(claim.id, ()))
        sights = self.judged.bundle.sights
        seen = {source for test in tests for source in sights.get(test.node, ())}
        subjects = {claim.id, *(test.node for test in tests)}
        return Stand(
            claim=claim,
            needed=claim.id in self.judged.verdict.needed,
            standing=self.judged.verdict.claims[claim.id],
            reasons=tuple(each for each in self.reasons if each.subject in subjects),
            seen=tuple(source for source in claim.sources if source in seen),
            tests=tests,
            kills=(
                *self._kills_by_mutants(claim.id),
                *(self._kill(name, claim.id) for name in claim.saboteurs),
            ),
            unseen=self._unseen.get(claim.id, ()),
        )

    @cached_property
    def _mutations(self) -> list[Mapping[str, Any]]:
        """What mutants showed, in each kill matrix that is whole."""
        kills = (each for each in self.judged.bundle.kills if not each.damage)
        return [each.data["mutation"] for each in kills if each.data["mutation"]]

    def _kills_by_mutants(self, claim: str) -> Iterator[Kill]:
        """One cell for each source by which mutants of its readings were tried on the claim."""
        for row in (row for each in self._mutations for row in each["claims"]):
            if row["claim"] == claim:
                score = f"mutants of {row['source']}: {row['killed']} of {row['tried']}"
                word = "killed" if is_seen_red(self.judged.case, row) else "survived"
                yield Kill(score, word, row["redAt"], f"{row['mutant']}: {row['text']}")

    @cached_property
    def _unseen(self) -> Mapping[str, tuple[str, ...]]:
        """By claim: what was changed and no assertion of the claim depends on."""
        found: dict[str, list[str]] = defaultdict(list)
        for row in (row for each in self._mutations for row in each["unseen"]):
            found[row["claim"]].append(f"{row['shape']} {row['field']}")
        return {claim: tuple(fields) for claim, fields in found.items()}

    @cached_property
    def _cells(self) -> Mapping[tuple[str, str], Mapping[str, Any]]:
        return {
            (row["saboteur"], row["claim"]): row
            for each in self.judged.bundle.kills
            if not each.damage
            for row in each.data["cells"]
        }

    def _kill(self, saboteur: str, claim: str) -> Kill:
        row = self._cells.get((saboteur, claim))
        if row is None:
            return Kill(saboteur, "not tried")
        word = "survived" if survivor(row) else "killed"
        return Kill(saboteur, word, row["redAt"], (row["reason"] or {}).get("text", ""))
