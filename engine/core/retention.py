"""What may be removed: how old it has to be, what keeps it, and what evidence names."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from engine.core.signoff import MAX_AGE_MS

UNITS: Final = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
YOUNGEST: Final = timedelta(milliseconds=MAX_AGE_MS)
OLDEST: Final = timedelta(days=36_500)
DIGITS: Final = 6
MAX_BATCH: Final = 5000
AGE: Final = re.compile(rf"([0-9]{{1,{DIGITS}}})([{''.join(UNITS)}])")

LONGEST: Final = 4096
WORD: Final = re.compile(rb"[\w.:+-]+")
ESCAPE: Final = re.compile(rb"\\[bfnrt]")
OPEN_END: Final = re.compile(rb"[\w.:+\\-]+\Z")
ID: Final = re.compile(rb"ih_[0-9a-f]{64}|run_[0-9a-f]{32}|fork_[0-9a-f-]{36}|[0-9a-f]{64}")


class Kept(StrEnum):
    """Why something that is old enough stays."""

    EVIDENCE = "evidence"  # a release's evidence names it
    FORK = "fork"  # a fork of it stays
    BUSY = "busy"  # somebody acts on it, or works for it, or did until lately
    RESTORING = "restoring"  # files that it wrote are not taken back yet, and it knows how
    OWNED = "owned"  # a run or a promotion that stays has it


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Something that ended long ago, a run or a workflow that is no run's, with all it is made of.

    ``members`` are its workflows; ``is_free`` says that they ended long ago, too, and that nobody
    else holds one of them.
    """

    id: str
    members: frozenset[str]
    is_free: bool
    source: str | None = None
    forks: frozenset[str] = frozenset()
    is_restoring: bool = False
    is_owned: bool = False

    def why_kept(self, gone: AbstractSet[str], *, is_named: bool) -> Kept | None:
        """What keeps it, but for forks that are ``gone``; None when nothing does."""
        reasons = {
            Kept.EVIDENCE: is_named,
            Kept.OWNED: self.is_owned,
            Kept.FORK: bool(self.forks - gone),
            Kept.RESTORING: self.is_restoring,
            Kept.BUSY: not self.is_free,
        }
        return next((why for why, holds in reasons.items() if holds), None)


def read_age(text: str) -> timedelta:
    """The age that ``text`` says. Raises ValueError with what is wrong with it.

    What is younger than a day is judged: a run that failed an hour ago turns the sign-off red.
    """
    match = AGE.fullmatch(text)
    if match is None:
        raise ValueError("is no age: a whole number with h, d or w, as 30d")
    age = int(match[1]) * UNITS[match[2]]
    if not YOUNGEST <= age <= OLDEST:
        raise ValueError("is not within 24h..36500d: a sign-off judges the runs of the last 24 h")
    return age


def read_batch(text: str) -> int:
    """The size that ``text`` says. Raises ValueError with what is wrong with it."""
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:DIGITS]) <= MAX_BATCH):
        raise ValueError(f"is not a whole number within 1..{MAX_BATCH}")
    return int(text)


def find_words(chunks: Iterable[bytes]) -> Iterator[set[str]]:
    """All that may be the name of a run or of a workflow in a text that comes in pieces.

    An id is found wherever it stands; any other name where no other letter touches it.
    """
    rest = b""
    for chunk in chunks:
        text = rest + chunk
        open_end = OPEN_END.search(text, max(0, len(text) - LONGEST))
        cut = open_end.start() if open_end else len(text)
        rest = text[cut:]
        yield _words_of(text if len(rest) == LONGEST else text[:cut])
    yield _words_of(rest)


def _words_of(text: bytes) -> set[str]:
    found = {match.decode() for match in ID.findall(text)}
    for match in WORD.findall(ESCAPE.sub(b" ", text)):
        word = match.decode().strip(".:")
        found.add(word)
        if ":" in word:
            parts = word.split(":")
            found.update(parts)
            found.update(":".join(parts[first:]) for first in range(len(parts)))
    found.discard("")
    return found


def can_be_found(name: str) -> bool:
    """Whether ``find_words`` sees the name of a workflow in a text that names it."""
    is_word = WORD.fullmatch(name.encode()) is not None
    return is_word and len(name) < LONGEST and name == name.strip(".:")


def list_arguments(inputs: object) -> set[str]:
    """Every text among the arguments that a workflow was started with."""
    match inputs:
        case str():
            return {inputs}
        case Mapping():
            return {text for each in inputs.values() for text in list_arguments(each)}
        case Collection():
            return {text for each in inputs for text in list_arguments(each)}
        case _:
            return set()
