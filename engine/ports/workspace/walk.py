"""The way from a workspace down to one file, by directory descriptors, without following links."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Self

from engine.core import patches
from engine.errors import RunFailed

OPEN: Final = os.O_NOFOLLOW | os.O_CLOEXEC
DIRECTORY: Final = OPEN | os.O_DIRECTORY | os.O_RDONLY
# What the kernel says of links, of what is no file or no directory, and of names that cannot be.
ELSEWHERE: Final = frozenset(
    {errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ENXIO}
)


class Walk:
    """The directories from ``root`` to where the file at ``path`` is, held open one by one.

    ``missing`` of them, at the end of the way, are not there; with ``make`` none is. Raises
    RunFailed for a path that leads elsewhere.
    """

    def __init__(self, root: Path, path: str, *, make: bool = False) -> None:
        self.root = root
        self.path = path
        *self._names, self.name = patches.parts(path, str(root))
        self._open: list[int] = []
        try:
            self._descend(make=make)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def bottom(self) -> int:
        """The lowest existing directory: the file's own, if none is missing."""
        return self._open[-1]

    @property
    def missing(self) -> int:
        """How many directories of the way are missing."""
        return len(self._names) - max(0, len(self._open) - 1)

    def close(self) -> None:
        """Close all descriptors."""
        while self._open:
            os.close(self._open.pop())

    def stat(self) -> os.stat_result | None:
        """The file's own state; None if it does not exist. Raises RunFailed if it is not a file."""
        try:
            found = os.stat(self.name, dir_fd=self.bottom, follow_symlinks=False)
        except FileNotFoundError:
            return None
        self.require_file(found)
        return found

    def require_file(self, state: os.stat_result) -> None:
        """Check that it is a file: no link, directory, pipe or device. Raises RunFailed."""
        if not stat.S_ISREG(state.st_mode):
            raise patches.not_allowed(self.path)

    def require_same(self) -> None:
        """Check that a second walk leads to the same directory. Raises RunFailed."""
        with Walk(self.root, self.path) as again:
            is_same = not again.missing and os.path.sameopenfile(again.bottom, self.bottom)
        if not is_same:
            raise patches.not_allowed(self.path)

    def remove(self, count: int) -> None:
        """Remove the lowest ``count`` directories, up to the first that is not empty."""
        lowest = len(self._open) - 1
        for depth in range(lowest, lowest - count, -1):
            try:
                os.rmdir(self._names[depth - 1], dir_fd=self._open[depth - 1])
            except OSError as error:
                if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
                    return
                raise
            os.fsync(self._open[depth - 1])

    def _descend(self, *, make: bool) -> None:
        if make:
            self.root.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            self._open.append(os.open(self.root, DIRECTORY))
            for name in self._names:
                if make:
                    _make(name, self.bottom)
                self._open.append(os.open(name, DIRECTORY, dir_fd=self.bottom))


def _make(name: str, parent: int) -> None:
    try:
        os.mkdir(name, dir_fd=parent)
    except FileExistsError:
        return
    os.fsync(parent)


@contextmanager
def faults(path: str) -> Iterator[None]:
    """Turn a refusal of the file system into RunFailed, which says if the path was at fault."""
    try:
        yield
    except OSError as error:
        if error.errno in ELSEWHERE:
            raise patches.not_allowed(path) from error
        raise RunFailed(f"PATCH_IO_FAILED:{path}: {error.strerror}") from error
