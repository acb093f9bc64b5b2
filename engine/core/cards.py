"""Proof cards: their subjects and rows, and how a check becomes a verdict (D24)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final, TypeAlias
from urllib.parse import quote

Row: TypeAlias = "Mapping[str, Any]"
Pack: TypeAlias = "Mapping[str, Any]"
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
UNREADABLE: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


class Verdict(StrEnum):
    """Whether the claim holds; UNKNOWN while the decision is still open."""

    PASS = "PASS"  # noqa: S105  # a verdict
    FAIL = "FAIL"
    UNKNOWN = "UNKNOWN"


class Source(StrEnum):
    """The source of a claim's data."""

    SQL = "sql"
    API = "api"
    DBOS = "dbos"
    ARTIFACT = "artifact"
    K6 = "k6"
    POLICY = "policy"
    TEST = "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One claim. ``ts`` is the row's own time; ``raw_ref`` is the place where the API shows it.

    ``places`` are the JSON pointers of its rows in the pack.
    """

    id: str
    claim: str
    evidence: str
    verdict: Verdict
    source: Source
    ts: int
    provenance: str
    raw_ref: str
    places: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of a check, and its text."""

    verdict: Verdict
    evidence: str


@dataclass(frozen=True, slots=True)
class Subject:
    """One run of a pack: the run itself or a fork. ``place`` is the pointer of its row."""

    pack: Pack
    run: Row
    place: str

    @property
    def wid(self) -> str:
        """Its workflow id."""
        return str(self.run["workflow_id"])

    @property
    def url(self) -> str:
        """Where the API shows it."""
        return f"/api/runs/{quote(self.wid, safe='')}"

    def rows(self, section: str) -> Iterator[tuple[str, Row]]:
        """Its rows of one section, each with its place."""
        for number, row in enumerate(self.pack[section]):
            if row["run_id"] == self.run["id"]:
                yield f"/{section}/{number}", row

    def workflow(self, workflow_id: str) -> tuple[str, Row] | None:
        """The durable engine's row of that id, with its place, if it exists."""
        for section in ("parentStatuses", "childStatuses"):
            for number, row in enumerate(self.pack["dbos"][section]):
                if row["workflow_uuid"] == workflow_id:
                    return f"/dbos/{section}/{number}", row
        return None


def subjects(pack: Pack) -> list[Subject]:
    """The run of a pack, then its forks."""
    forks = enumerate(pack["forks"])
    return [
        Subject(pack, pack["run"], "/run"),
        *(Subject(pack, row, f"/forks/{number}") for number, row in forks),
    ]


def view_check(check: Callable[[], Finding]) -> dict[str, Any]:
    """The result of ``check`` for a card; an unreadable row proves nothing."""
    try:
        found = check()
    except UNREADABLE as error:
        found = Finding(Verdict.FAIL, f"cannot be computed again: {type(error).__name__}")
    return {"verdict": found.verdict, "evidence": found.evidence}


def same(made: str, told: Mapping[str, tuple[object, object]]) -> Finding:
    """PASS if each pair of ``told`` is equal; otherwise a text with the pairs that differ."""
    wrong = [f"{name} says {each}" for name, (each, wanted) in told.items() if each != wanted]
    if wrong:
        return Finding(Verdict.FAIL, f"{made}; {'; '.join(wrong)}")
    return Finding(Verdict.PASS, made)


def at(text: str) -> datetime:
    """The time in a row. Raises ValueError for a date that the calendar does not have."""
    return datetime.fromisoformat(text)


def ms(text: str) -> int:
    """Epoch milliseconds; 0 for a date that the calendar does not have."""
    try:
        return (at(text) - EPOCH) // timedelta(milliseconds=1)
    except (TypeError, ValueError):
        return 0
