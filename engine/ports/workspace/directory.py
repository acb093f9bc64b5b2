"""A workspace in a directory.

Each operation walks down from the root and changes exactly what it checked. A second walk notices a
directory that was replaced by a link, or moved away, while content was staged. If a frozen process
continues, it finds that its successor removed its staged content.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

from engine.core import patches
from engine.errors import RunFailed
from engine.ports.workspace import Found
from engine.ports.workspace.staging import Staging
from engine.ports.workspace.walk import OPEN, Walk, faults

LARGEST: Final = 16 * 2**20  # bytes of a file to replace; the database stores them


class Directory:
    """The workspace at ``root``; the first write creates it."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    def place(self, target: str) -> str:
        """The absolute path of ``target``. Raises RunFailed if its text leads elsewhere."""
        return str(self._root.joinpath(*patches.parts(target, str(self._root))))

    def read(self, path: str) -> Found:
        """The present content. Raises RunFailed if it is not a file or is too large."""
        with faults(path), Walk(self._root, path) as walk:
            return Found(None if walk.missing else _content(walk), walk.missing)

    def stage(self, path: str, content: bytes, key: str) -> Staging:
        """Stage ``content`` for the file; remove what a crash left under ``key``."""
        with faults(path):
            walk = Walk(self._root, path, make=True)
            staging = Staging(walk, f".{key}.{secrets.token_hex(8)}")
            try:
                _sweep(walk, key)
                staging.write(content)
            except BaseException:
                staging.drop()
                raise
        return staging

    def delete(self, path: str) -> None:
        """Delete the file, durably."""
        with faults(path), Walk(self._root, path) as walk:
            if not walk.missing and walk.stat() is not None:
                os.unlink(walk.name, dir_fd=walk.bottom)
                os.fsync(walk.bottom)

    def tidy(self, path: str, key: str, dirs: int) -> None:
        """Remove content staged under ``key``, and up to ``dirs`` empty directories above."""
        with faults(path), Walk(self._root, path) as walk:
            if not walk.missing:
                _sweep(walk, key)
            walk.remove(dirs - walk.missing)


def _content(walk: Walk) -> bytes | None:
    try:
        file = os.open(walk.name, OPEN | os.O_RDONLY | os.O_NONBLOCK, dir_fd=walk.bottom)
    except FileNotFoundError:
        return None
    with os.fdopen(file, "rb") as opened:
        walk.require_file(os.fstat(file))
        content = opened.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise RunFailed(f"PATCH_PREIMAGE_TOO_LARGE:{walk.path}")
    return content


def _sweep(walk: Walk, key: str) -> None:
    with os.scandir(walk.bottom) as entries:
        names = [entry.name for entry in entries if entry.name.startswith(f".{key}.")]
    for name in names:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=walk.bottom)
