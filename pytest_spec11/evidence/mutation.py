"""What mutants of observations showed: which claims were seen red, and what nothing depends on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass
class SeenRed:
    """One claim by one source; ``red_at`` 0: no mutant of what was read there turned it red."""

    claim: str
    source: str
    tried: int
    killed: int
    node: str = ""
    mutant: str = ""
    field: str = ""
    text: str = ""
    red_at: int = 0
    green_at: int = 0

    @property
    def is_proven(self) -> bool:
        """Whether a mutant turned it red, and it was green again without."""
        return bool(self.killed and self.red_at and self.green_at)

    def to_json(self) -> dict[str, Any]:
        """The row as the schema has it."""
        row = dict(vars(self))
        times = {"redAt": row.pop("red_at"), "greenAt": row.pop("green_at")}
        return {**row, **times}


@dataclass(frozen=True, slots=True)
class Unseen:
    """A field that was changed, and no assertion of the claim depends on it."""

    claim: str
    source: str
    shape: str
    field: str
    operators: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """The outcome of all passes."""

    seed: str
    suite_s: float
    budget_s: float
    spent_s: float
    exhaustive: bool
    passes: int
    claims: Sequence[SeenRed]
    unseen: Sequence[Unseen]

    def to_json(self) -> dict[str, Any]:
        """The part of ``kills.json``."""
        return {
            "seed": self.seed,
            "suiteMs": round(self.suite_s * 1000),
            "budgetMs": round(self.budget_s * 1000),
            "spentMs": round(self.spent_s * 1000),
            "exhaustive": self.exhaustive,
            "passes": self.passes,
            "claims": [each.to_json() for each in self.claims],
            "unseen": [
                {
                    "claim": each.claim,
                    "source": each.source,
                    "shape": each.shape,
                    "field": each.field,
                    "operators": list(each.operators),
                }
                for each in self.unseen
            ],
        }

    @property
    def weak(self) -> list[SeenRed]:
        """Claims that nothing turned red by a source that they need."""
        return [each for each in self.claims if not each.is_proven]

    def lines(self) -> Iterator[str]:
        """The outcome for a reader: claims never seen red first, then fields nobody looks at."""
        rows: dict[str, list[SeenRed]] = defaultdict(list)
        for each in self.claims:
            rows[each.claim].append(each)
        for each in self.weak:
            yield f"NEVER RED {each.claim:34} {each.source}"
            yield f"          {each.text}"
        for claim, some in rows.items():
            tried, killed = sum(r.tried for r in some), sum(r.killed for r in some)
            yield f"score     {claim:34} {killed} of {tried} mutants"
        for unseen in self.unseen:
            how = ", ".join(unseen.operators)
            yield f"unseen    {unseen.shape} {unseen.field} ({how}): {unseen.claim} stays green"
        good = sum(all(r.is_proven for r in some) for some in rows.values())
        yield (
            f"{good} of {len(rows)} claims seen red by every source that they need,"
            f" in {self.passes} passes, {self.spent_s:.0f} s of a budget of {self.budget_s:.0f} s"
            f" (the suite itself: {self.suite_s:.0f} s), seed {self.seed}"
        )
