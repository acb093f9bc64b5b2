"""The workspace: files below one directory that patches may change, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Found:
    """A file's content (None: there is no file), and the number of missing directories above."""

    content: bytes | None
    missing: int


class Staged(Protocol):
    """New content on disk beside its file, not yet in its place."""

    def commit(self) -> None:
        """Give the file the content atomically: no reader sees a part. Raises RunFailed."""
        ...

    def drop(self) -> None:
        """Remove content that was not committed."""
        ...


class Workspace(Protocol):
    """Changes files. Raises RunFailed for every path that leads out of the allowed directory."""

    def place(self, target: str) -> str:
        """The absolute path of a target, by its text."""
        ...

    def read(self, path: str) -> Found:
        """What is there now."""
        ...

    def stage(self, path: str, content: bytes, key: str) -> Staged:
        """Stage ``content`` for the file; create directories, keep mode and owner."""
        ...

    def delete(self, path: str) -> None:
        """Delete the file."""
        ...

    def tidy(self, path: str, key: str, dirs: int) -> None:
        """Remove content staged under ``key``, and up to ``dirs`` empty directories above."""
        ...
