"""A file's new content, beside the file until it takes its place."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Final

from engine.ports.workspace.walk import OPEN, Walk, faults

NEW: Final = 0o666
PRIVATE: Final = 0o600


class Staging:
    """Under ``name`` in the directory where ``walk`` ends; lets go of the walk at its end."""

    def __init__(self, walk: Walk, name: str) -> None:
        self._walk = walk
        self._name = name
        self._is_there = False

    def write(self, content: bytes) -> None:
        """Write the content to disk, with the file's mode and owner."""
        old = self._walk.stat()
        flags = OPEN | os.O_CREAT | os.O_EXCL | os.O_WRONLY
        mode = NEW if old is None else PRIVATE
        file = os.open(self._name, flags, mode, dir_fd=self._walk.bottom)
        self._is_there = True
        with os.fdopen(file, "wb") as opened:
            opened.write(content)
            opened.flush()
            if old is not None:
                _keep(old, file)
            os.fsync(file)

    def commit(self) -> None:
        """Give the file the content, durably. Raises RunFailed when its directory moved."""
        walk = self._walk
        with faults(walk.path):
            walk.require_same()
            walk.stat()
            os.rename(self._name, walk.name, src_dir_fd=walk.bottom, dst_dir_fd=walk.bottom)
            self._is_there = False
            os.fsync(walk.bottom)

    def drop(self) -> None:
        """Remove content that was not committed."""
        if self._is_there:
            with suppress(FileNotFoundError):
                os.unlink(self._name, dir_fd=self._walk.bottom)
        self._walk.close()


def _keep(old: os.stat_result, file: int) -> None:
    new = os.fstat(file)
    if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
        os.fchown(file, old.st_uid, old.st_gid)
    os.fchmod(file, old.st_mode & 0o7777)
