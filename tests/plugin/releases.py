"""Evidence of everything that a release asks for: made whole, to be spoilt, signed off, moved."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

from pytest_spec11.evidence import bundle, documents
from pytest_spec11.judge import Case, Verdict, judge
from pytest_spec11.requirements.policy import read
from pytest_spec11.verdict.gate import find_kept
from pytest_spec11.verdict.signoff import Signoff
from pytest_spec11.verdict.weakenings import Weakenings
from tests.plugin.judge.stand import Stand, cell, happy, mutation, strict, write_kills, write_lane

LANES = ("quick", "check", "full", "policy")
CELLS = [
    cell("http.lie", "S1.a"),
    cell("sql.lie", "S1.a"),
    cell("http.lie", "S1.b"),
    cell("http.none", "S1.a"),
    cell("sql.none", "S1.b"),
]


class Release:
    """Evidence of everything that the strict catalogue asks for, to be spoilt."""

    def __init__(self, folder: Path, policy: str = "") -> None:
        self.folder = folder
        self.stand: Stand = happy(strict())
        self.stand.policy = read(policy.encode())
        self.stand.posture = {"strict": "true", "oc": "live"}
        self.stand.bound["policy"] = self.stand.policy.digest
        self.stand.here = dict(self.stand.bound)
        self.stand.kept = [self.stand.claims.content, self.stand.policy.content]
        self.stand.is_mutated = False  # the one matrix is written below
        self.stand.write(folder)
        for place, lane in enumerate(LANES):
            write_lane(folder, lane, self.stand.bound, **times(self.stand.now_ms, place))
        write_kills(folder, CELLS, self.stand.bound)

    def lane(self, name: str, **changes: Any) -> None:
        place = LANES.index(name)
        write_lane(
            self.folder, name, self.stand.bound, **{**times(self.stand.now_ms, place), **changes}
        )

    def kills(self, *cells: dict[str, Any]) -> None:
        write_kills(self.folder, list(cells), self.stand.bound)

    def mutants(self, *rows: dict[str, Any]) -> None:
        write_kills(self.folder, CELLS, self.stand.bound, mutation=mutation(*rows))

    @property
    def case(self) -> Case:
        """What the gate gives its judge: this run, and the others of its tree beside it."""
        seen, terms = bundle.load([self.folder]), self.stand.terms
        kept = find_kept([self.folder], self.folder, seen, terms)
        return Case(self.stand.claims, seen, terms, kept)

    def verdict(self) -> Verdict:
        case = self.case
        return judge(case.catalogue, case.bundle, case.terms, case.kept)

    def document(self) -> dict[str, Any]:
        return Signoff(self.case, self.verdict(), Weakenings("", ())).document()

    def sign_off(self) -> Path:
        """The sign-off, beside the run."""
        documents.write(self.folder.parent / "signoff.json", "signoff", self.document())
        return self.folder.parent / "signoff.json"


def times(now_ms: int, place: int) -> dict[str, Any]:
    """A second for each lane, one after the other."""
    begin = now_ms - 10_000 + 1000 * place
    ends = {"startedAt": begin, "finishedAt": begin + 900}
    step = {"name": "all", "command": ["make"], "exitCode": 0, **ends, "log": LOG}
    return {**ends, "steps": [step]}


SAID = b"all is well\n"
NAME = sha256(SAID).hexdigest()
LOG = {"sha256": NAME, "bytes": len(SAID)}
