"""The kill matrix: one row for each saboteur and claim, and the rules for a row.

A cell counts as killed if its claim was green without the fault, the fault took effect, the claim
was then red for its own reason, and was green again afterwards. Under a benign twin the claim must
stay green.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from pytest_spec11.requirements.catalogue import Catalogue

SCHEMA: Final = "spec11/kills/1"
PASS: Final = "PASS"  # noqa: S105  # a word of verdicts
FAIL: Final = "FAIL"
UNKNOWN: Final = "UNKNOWN"
TWIN: Final = ".none"
FINDINGS: Final = "sabotage.ndjson"  # how each test of a sabotaged run ended, one line per test
_CODES: Final = {FAIL: "E-FAILED", UNKNOWN: "E-ERROR"}
_WORST: Final = {PASS: 0, UNKNOWN: 1, FAIL: 2}
_SHOWN: Final = 100


@dataclass(frozen=True, slots=True)
class Found:
    """One run's result for a claim: a word, the reason if it is not PASS, hits by saboteur.

    ``at`` is the end of the test that decided it, in epoch milliseconds.
    """

    word: str = UNKNOWN
    text: str = "no test of this claim ran"
    node: str = ""
    at: int = 0
    hits: Mapping[str, int] = field(default_factory=dict)
    expected: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cell:
    """One fault against one claim, with the times of red and of green again; 0: never."""

    saboteur: str
    claim: str
    hits: int
    before: str
    during: str
    text: str
    expected: str
    after: str
    red_at: int = 0
    green_at: int = 0

    @property
    def twin(self) -> bool:
        """Whether its saboteur is a benign twin."""
        return self.saboteur.endswith(TWIN)

    @property
    def good(self) -> bool:
        """Whether the fault killed the claim, or the twin did not."""
        return not self.fault

    @property
    def fault(self) -> str:
        """Why the cell counts as survived; empty if it does not."""
        if self.before != PASS:
            return f"not green without it: {self.before}"
        if not self.hits:
            return f"never took effect; the claim was {self.during}"
        if self.twin:
            return "" if self.during == self.after == PASS else "the benign twin turned it red"
        if self.during != FAIL:
            return "survived" if self.during == PASS else "red, but the claim itself did not fail"
        if not self.expected or self.expected not in self.text:
            return f"red for another reason than {self.expected!r}"
        return "" if self.after == PASS else f"not green afterwards: {self.after}"

    def record(self) -> dict[str, Any]:
        """The row in the form of the schema."""
        reason = {"code": _CODES[self.during], "text": self.text} if self.during != PASS else None
        row = asdict(self)
        times = {"redAt": row.pop("red_at"), "greenAt": row.pop("green_at")}
        del row["text"]
        return {**row, **times, "reason": reason, "size": "reduced"}


def cells_of(catalogue: Catalogue, scenario: str, saboteurs: Iterable[str], claims: Iterable[str]
             ) -> dict[str, list[str]]:  # fmt: skip
    """Those of ``claims``, by the saboteur that must kill them; an empty filter admits all."""
    only, these = set(saboteurs), set(claims)
    found: dict[str, list[str]] = {}
    for claim in catalogue.claims.values():
        if scenario in {"", claim.scenario} and claim.id in these:
            for saboteur in claim.saboteurs:
                if not only or saboteur in only:
                    found.setdefault(saboteur, []).append(claim.id)
    return dict(sorted(found.items()))


def by_claim(findings: Iterable[Mapping[str, Any]]) -> dict[str, Found]:
    """The result of each claim: that of its worst test, with the hits of all its tests."""
    found: dict[str, Found] = {}
    for each in findings:
        for claim in each["claims"]:
            found[claim] = _join_finding(found.get(claim), each, claim)
    return found


def _join_finding(known: Found | None, finding: Mapping[str, Any], claim: str) -> Found:
    expected = {each: words.get(claim, "") for each, words in finding["expected"].items()}
    new = Found(
        finding["outcome"],
        finding["text"],
        finding["node"],
        finding["at"],
        finding["hits"],
        expected,
    )
    if known is None:
        return new
    hits = {each: known.hits.get(each, 0) + new.hits[each] for each in new.hits}
    redder = new if _redness(new) > _redness(known) else known
    return replace(redder, hits=hits, expected=expected)


def _redness(found: Found) -> tuple[int, bool]:
    return _WORST[found.word], any(
        words and words in found.text for words in found.expected.values()
    )


def rows(
    planned: Mapping[str, Sequence[str]],
    before: Mapping[str, Found],
    during: Mapping[str, Mapping[str, Found]],
    after: Mapping[str, Found],
) -> Iterator[Cell]:
    """Every planned cell with its result."""
    nothing = Found()
    for saboteur, claims in planned.items():
        for claim in claims:
            seen = during.get(saboteur, {}).get(claim, nothing)
            again = after.get(claim, nothing)
            yield Cell(
                saboteur,
                claim,
                seen.hits.get(saboteur, 0),
                before.get(claim, nothing).word,
                seen.word,
                seen.text,
                seen.expected.get(saboteur, ""),
                again.word,
                red_at=seen.at if seen.word == FAIL else 0,
                green_at=again.at if again.word == PASS else 0,
            )


def document(
    cells: Sequence[Cell], run: Mapping[str, str], binding: Mapping[str, Any], span: tuple[int, int]
) -> dict[str, Any]:
    """The content of ``kills.json`` without the sum that seals it."""
    return {
        "schema": SCHEMA,
        "run": dict(run),
        "binding": dict(binding),
        "startedAt": span[0],
        "finishedAt": span[1],
        "cells": [each.record() for each in cells],
    }


def table(cells: Sequence[Cell]) -> Iterator[str]:
    """The matrix as text: one line per cell, and the names of the survivors at the end."""
    for each in cells:
        mark = "held" if each.twin and each.good else "killed" if each.good else "SURVIVED"
        yield f"{mark:9} {each.saboteur:24} {each.claim:34} hits {each.hits}"
        if not each.good:
            yield f"          {each.fault}"
        if each.text and not (each.twin and each.good):
            yield f"          {each.text[:_SHOWN]}"
    bad = [each for each in cells if not each.good]
    faults = [each for each in cells if not each.twin]
    killed = sum(each.good for each in faults)
    yield f"{killed} of {len(faults)} cells killed"
    if bad:
        yield "survivors: " + ", ".join(f"{each.saboteur} {each.claim}" for each in bad)
