"""Rules of patches: the legal paths, and what to do with the present content of a file (D25).

Nothing here touches a file. Functions return values, or raise RunFailed if the run may not go on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final, Self

from engine.core.canon import Json, digest
from engine.errors import RunFailed

JAIL: Final = ".tmp"  # below the workspace; the engine never writes anywhere else
NOT_ALLOWED: Final = "PATCH_PATH_NOT_ALLOWED"
ROLLBACK_FAILED: Final = "APPLY_PATCH_ROLLBACK_FAILED"
_KEY_DIGITS: Final = 16


class NotAllowed(RunFailed):
    """A path leads out of the allowed directory."""


class Why(StrEnum):
    """Why a patch is taken back, as in its row."""

    FAILURE = "failure"
    CANCEL = "cancel"


class Move(StrEnum):
    """What is left to do for a file."""

    MARK = "mark"  # the file has the wanted content; only the mark on the row is missing
    WRITE = "write"


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """The wanted content of a file. Only the postimage is written; the diff is for people."""

    target_path: str
    postimage: str
    diff: str

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """The patch in a plan's document."""
        return cls(
            target_path=document["targetPath"],
            postimage=document["postimageContent"],
            diff=document["diffText"],
        )

    @property
    def document(self) -> dict[str, Json]:
        """The document of the patch in a plan."""
        return {
            "targetPath": self.target_path,
            "postimageContent": self.postimage,
            "diffText": self.diff,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A patch with its absolute ``path``."""

    path: str
    postimage: str
    diff_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One patch of one attempt in the run's history. ``preimage_hash`` None: the file was new.

    ``dirs_made`` is the number of new directories right above the file. ``rolled_back_for`` is set
    before the run takes back its first file, ``rolled_back_at`` when it took back this one.
    """

    run_id: str
    step_id: str
    patch_index: int
    attempt: int
    execution_id: str
    target_path: str
    preimage_hash: str | None
    postimage_hash: str
    diff_hash: str
    dirs_made: int
    applied_at: datetime | None
    rolled_back_at: datetime | None
    rolled_back_for: str | None
    created_at: datetime

    @property
    def document(self) -> dict[str, Json]:
        """The document of the entry in its artifact."""
        return {
            "patchIndex": self.patch_index,
            "targetPath": self.target_path,
            "preimageHash": self.preimage_hash,
            "postimageHash": self.postimage_hash,
            "diffHash": self.diff_hash,
        }

    @property
    def key(self) -> str:
        """A unique name for the temporary files of this entry."""
        named: Json = [self.run_id, self.step_id, self.patch_index, self.attempt]
        return f"spec11-{digest(named)[:_KEY_DIGITS]}"


@dataclass(frozen=True, slots=True)
class Direction:
    """Write or take back, and the error for a file that has neither content."""

    start: str
    goal: str
    mismatch: str


APPLY: Final = Direction("preimage_hash", "postimage_hash", "PREIMAGE_MISMATCH")
ROLL_BACK: Final = Direction("postimage_hash", "preimage_hash", "POSTIMAGE_MISMATCH")


def move(direction: Direction, entry: Entry, current: bytes | None) -> Move:
    """What is left to do for a file with content ``current``. Raises RunFailed.

    A file with the wanted content is not written again. A file with neither the old nor the new
    content was changed by somebody else.
    """
    found = content_hash(current)
    if found == getattr(entry, direction.goal):
        return Move.MARK
    if found == getattr(entry, direction.start):
        return Move.WRITE
    raise RunFailed(f"{direction.mismatch}:{entry.target_path}")


def content_hash(content: bytes | None) -> str | None:
    """64 hex digits over the bytes of a file; None when there is no file."""
    return None if content is None else sha256(content).hexdigest()


def text_hash(text: str) -> str:
    """64 hex digits over the UTF-8 bytes of a text."""
    return sha256(text.encode()).hexdigest()


def require_same(entry: Entry, wish: Wish) -> None:
    """Check that a begun entry is still the same patch. Raises RunFailed."""
    begun = (entry.target_path, entry.postimage_hash, entry.diff_hash)
    if begun != (wish.path, text_hash(wish.postimage), wish.diff_hash):
        raise RunFailed(f"PATCH_HISTORY_CONFLICT:{entry.target_path}")


def newest_attempt(entries: Iterable[Entry]) -> int:
    """The number of the newest attempt; 0 before the first."""
    return max((entry.attempt for entry in entries), default=0)


def open_attempt(entries: Sequence[Entry], execution_id: str) -> int | None:
    """The attempt that this execution continues; None if it must begin one.

    An attempt that somebody began to take back is over, and so is one of another execution.
    """
    last = newest_attempt(entries)
    goes_on = last and all(
        entry.execution_id == execution_id and entry.rolled_back_for is None
        for entry in entries
        if entry.attempt == last
    )
    return last if goes_on else None


def latest(entries: Iterable[Entry]) -> list[Entry]:
    """The newest entry of every patch, by index."""
    by_attempt = sorted(entries, key=lambda entry: entry.attempt)
    found = {entry.patch_index: entry for entry in by_attempt}
    return [found[index] for index in sorted(found)]


def standing(entries: Sequence[Entry]) -> list[Entry]:
    """Entries that were written and not taken back, in the order in which to take them back.

    An unmarked entry of the newest attempt counts, because a crash may have come before the mark.
    """
    last = newest_attempt(entries)
    found = [
        entry
        for entry in entries
        if entry.rolled_back_at is None and (entry.applied_at is not None or entry.attempt == last)
    ]
    return sorted(found, key=lambda entry: (entry.attempt, entry.patch_index), reverse=True)


def was_never_written(entry: Entry, current: bytes | None) -> bool:
    """Whether there is nothing to take back: no mark, and the file lacks the new content."""
    if entry.applied_at is not None:
        return False
    return content_hash(current) != entry.postimage_hash or is_vain(entry)


def is_vain(entry: Entry) -> bool:
    """Whether the file had the wanted content before."""
    return entry.preimage_hash == entry.postimage_hash


def was_compensated(entries: Sequence[Entry]) -> bool:
    """Whether the last rollback in the history, complete or not, came from a cancellation."""
    over = [entry for entry in entries if entry.rolled_back_for is not None]
    last = newest_attempt(over)
    return any(entry.rolled_back_for == Why.CANCEL for entry in over if entry.attempt == last)


def parts(target: str, workspace: str) -> tuple[str, ...]:
    """The path components from the workspace down to the file; the first is ``.tmp``.

    ``target`` is relative to the workspace or absolute within it; ``workspace`` is a real path.
    Raises NotAllowed for a path that leads elsewhere by its text. It does not check links.
    """
    below = target.removeprefix(f"{workspace}/")
    names = below.split("/")
    found = tuple(name for name in names if name not in {"", "."})
    is_legal = (
        "\0" not in target
        and ".." not in found
        and not below.startswith("/")
        and names[-1] not in {"", "."}
        and found[0] == JAIL
        and len(found) > 1
    )
    if not is_legal:
        raise not_allowed(target)
    return found


def not_allowed(path: str) -> NotAllowed:
    """The refusal of a path, in letters that every database can store."""
    return NotAllowed(f"{NOT_ALLOWED}:{path.replace(chr(0), '<NUL>')}")


def rollback_failed(why: RunFailed, source: str) -> str:
    """The error of a run that failed by ``source`` and could not take back its patches."""
    return f"{ROLLBACK_FAILED}:{why};source={source}"
