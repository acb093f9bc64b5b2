"""The private directory of one command: made for it, read once it has ended, and removed."""

from __future__ import annotations

import os
import re
import stat
import tempfile
from contextlib import suppress
from typing import Final

from engine.ports.supervisor.streams import text

COLLECTED: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}\.(?:json|md|patch)")
MOST_FILES: Final = 32
MOST_BYTES: Final = 256 * 1024  # of one file
TOOLS: Final = {"PATH": "/usr/bin:/bin"}


class Room:
    """``work`` belongs to the command; the directory around it does not, so it cannot be moved."""

    def __init__(self, base: str | None, uid: int | None) -> None:
        self._around = tempfile.mkdtemp(prefix="spec11-sbx-", dir=base)
        self.work = f"{self._around}/work"
        os.mkdir(self.work, 0o700)
        if uid is not None:
            os.chown(self.work, uid, uid)
            os.chmod(self._around, 0o711)  # noqa: S103  # others may pass, not look

    def files(self) -> tuple[dict[str, str], int]:
        """Texts by name of what it left at the top, and how many more there were than are kept.

        Nobody is left to change them. What is not a plain file of one name is not followed.
        """
        names = sorted(name for name in os.listdir(self.work) if COLLECTED.fullmatch(name))
        found = {name: _text(f"{self.work}/{name}") for name in names[:MOST_FILES]}
        kept = {name: text for name, text in found.items() if text is not None}
        return kept, len(names) - len(kept)

    def remove(self) -> None:
        """It is gone. Raises OSError with its path when it is not."""
        if self._remove_directory():
            return
        _run("chmod", "-R", "u+rwx", self._around)  # its owner's own doing
        if not self._remove_directory():
            raise OSError(f"{self._around} cannot be removed")

    def _remove_directory(self) -> bool:
        return _run("rm", "-rf", "--", self._around)


def _text(path: str) -> str | None:
    with suppress(OSError):
        place = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(place, "rb") as file:
            seen = os.fstat(place)
            if stat.S_ISREG(seen.st_mode) and seen.st_nlink == 1 and seen.st_size <= MOST_BYTES:
                return text(file.read(MOST_BYTES))
    return None


def _run(*words: str) -> bool:
    """Whether the tool did it. Unlike the interpreter it goes as deep as directories do."""
    pid = os.posix_spawnp(words[0], words, TOOLS)
    return os.waitpid(pid, 0)[1] == 0
