"""Excerpts: what each test saw and asserted, as much of it as a person reads; the rest is counted.

They hear the records while the bundle is judged, so a page of a million observations needs no more
memory than one of a hundred.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import Final, Generic, NamedTuple, TypeVar

from pytest_spec11.evidence.journal import Record
from pytest_spec11.evidence.observations import is_substantive

FIRST: Final = 3  # shown from the beginning of a test
LAST: Final = 3  # and from its end
_TEXT: Final = 200  # characters of a text that are kept

Value = TypeVar("Value")


class Sight(NamedTuple):
    """One observation: where it came from, what was asked, and the digest of what was seen."""

    source: str
    ref: str
    digest: str
    size: int


@dataclass(slots=True)
class Excerpt(Generic[Value]):
    """The first and the last of many values, and how many there are."""

    first: list[Value] = field(default_factory=list)
    last: deque[Value] = field(default_factory=lambda: deque(maxlen=LAST))
    count: int = 0

    def add(self, value: Value) -> None:
        """One more value."""
        self.count += 1
        if len(self.first) < FIRST:
            self.first.append(value)
        else:
            self.last.append(value)

    @property
    def between(self) -> int:
        """How many are left out between the first and the last."""
        return self.count - len(self.first) - len(self.last)


@dataclass(slots=True)
class TestExcerpt:
    """What is shown of one test. Times in epoch milliseconds; 0 where the journal has none."""

    started_at: int = 0
    ended_at: int = 0
    sights: Excerpt[Sight] = field(default_factory=Excerpt)
    assertions: Excerpt[str] = field(default_factory=Excerpt)


class Excerpts:
    """The excerpt of every test that is named in a record."""

    def __init__(self) -> None:
        self._tests: dict[str, TestExcerpt] = defaultdict(TestExcerpt)

    def of(self, node: str) -> TestExcerpt:
        """The excerpt of a test; an empty one when no record names it."""
        return self._tests.get(node) or TestExcerpt()

    def hear(self, record: Record) -> None:
        """Keep of a record what will be shown."""
        node = record.data.get("node")
        if not isinstance(node, str):
            return
        test = self._tests[node]
        test.started_at = min(test.started_at or record.at, record.at)
        test.ended_at = max(test.ended_at or record.at, record.at)
        if record.kind == "assertion":
            test.assertions.add(record.data["text"][:_TEXT])
        elif record.kind == "observation" and is_substantive(record.data):
            said = record.data
            test.sights.add(
                Sight(said["source"], said["ref"][:_TEXT], said["digest"], said["size"])
            )
