"""A workspace that is a directory.

Each operation walks down anew and changes what it looked at. A directory that was swapped for a
link, or moved away, while content was being staged is noticed by walking once more; and a frozen
process that thaws finds that what it had staged was swept away by whoever went on in its place.
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

LARGEST: Final = 16 * 2**20  # bytes of a file that a patch may replace: the database keeps them


class Directory:
    """The workspace at ``root``, which is made when something is first written."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    def place(self, target: str) -> str:
        """The absolute path of ``target``. Raises RunFailed for letters that lead elsewhere."""
        return str(self._root.joinpath(*patches.parts(target, str(self._root))))

    def read(self, path: str) -> Found:
        """What is there now. Raises RunFailed for what is no file, or too large a one."""
        with faults(path), Walk(self._root, path) as walk:
            return Found(None if walk.missing else _content(walk), walk.missing)

    def stage(self, path: str, content: bytes, key: str) -> Staging:
        """``content``, ready to become the file's; what a crash left of ``key`` is swept away."""
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
        """There is no such file, for good."""
        with faults(path), Walk(self._root, path) as walk:
            if not walk.missing and walk.stat() is not None:
                os.unlink(walk.name, dir_fd=walk.bottom)
                os.fsync(walk.bottom)

    def tidy(self, path: str, key: str, dirs: int) -> None:
        """Nothing staged under ``key`` is left, nor, if empty, ``dirs`` directories above."""
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
