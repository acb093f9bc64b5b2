"""The workspace: files below one directory that patches may change, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Found:
    """A file as it is: None when there is none, and how many directories above it are missing."""

    content: bytes | None
    missing: int


class Staged(Protocol):
    """New content that lies beside its file, on disk, and is not yet the file's."""

    def commit(self) -> None:
        """The file has the content, at once: no reader ever sees a part. Raises RunFailed."""
        ...

    def drop(self) -> None:
        """What was not committed is gone."""
        ...


class Workspace(Protocol):
    """Whoever keeps the files. Raises RunFailed for every path that leads out of the jail."""

    def place(self, target: str) -> str:
        """The absolute path of a target, by its letters."""
        ...

    def read(self, path: str) -> Found:
        """What is there now."""
        ...

    def stage(self, path: str, content: bytes, key: str) -> Staged:
        """``content``, ready to become the file's; directories are made, mode and owner kept."""
        ...

    def delete(self, path: str) -> None:
        """There is no such file."""
        ...

    def tidy(self, path: str, key: str, dirs: int) -> None:
        """Nothing staged under ``key`` is left, nor, if empty, that many directories above."""
        ...
