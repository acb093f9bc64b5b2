"""Tokens and secrets, from the environment or from a file."""

from __future__ import annotations

import logging
import stat
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, TypeAlias

from engine.core.doors import require_key

log = logging.getLogger(__name__)
LARGEST_FILE: Final = 64 * 1024
SETTLED_NS: Final = 1_000_000_000  # after this time, a further change shows in the file's time
State: TypeAlias = "tuple[int, int, int]"  # what changes with a file: time, size, inode
UNREAD: Final[State] = (0, 0, 0)


class Keys(Protocol):
    """Keys of one variable. Several are valid at once, so that people can exchange them."""

    def now(self) -> tuple[bytes, ...]:
        """The keys that are valid now; none if they cannot be read."""
        ...


@dataclass(frozen=True, slots=True)
class Given:
    """Keys that are valid as long as the process lives."""

    keys: tuple[bytes, ...]

    def now(self) -> tuple[bytes, ...]:
        """All of them."""
        return self.keys


class Filed:
    """Keys in a file, one per line; a change is read again. While it has a fault none is valid."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._state, self._keys = _read(path)
        self._fault = ""

    def now(self) -> tuple[bytes, ...]:
        """The keys in the file."""
        try:
            if self._is_stale():
                self._state, self._keys = _read(self._path)
                self._fault = ""
        except ValueError as fault:
            self._give_up(str(fault))
        return self._keys

    def _give_up(self, fault: str) -> None:
        self._state, self._keys = UNREAD, ()
        if fault != self._fault:
            log.error("nobody gets in by %s: it is %s", self._path, fault)
            self._fault = fault

    def _is_stale(self) -> bool:
        state = _state(self._path)
        return state != self._state or time.time_ns() - state[0] < SETTLED_NS


def keys(text: str) -> Keys:
    """Parse a setting: keys separated by commas, or ``@`` and the path of a file with keys.

    Raises ValueError that says what is wrong and quotes no key.
    """
    if text.startswith("@"):
        return Filed(Path(text[1:]).expanduser().absolute())
    return Given(_sound(text.split(",")))


def _state(path: Path) -> State:
    try:
        seen = path.stat()
    except OSError as error:
        raise ValueError(f"a file that cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(seen.st_mode):
        raise ValueError("not a regular file")
    return seen.st_mtime_ns, seen.st_size, seen.st_ino


def _read(path: Path) -> tuple[State, tuple[bytes, ...]]:
    state = _state(path)
    if state[1] > LARGEST_FILE:
        raise ValueError(f"a file of more than {LARGEST_FILE} bytes")
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError("a file that cannot be read as lines of ASCII") from error
    return state, _sound(line for line in lines if line.strip())


def _sound(texts: Iterable[str]) -> tuple[bytes, ...]:
    found = tuple(require_key(text.strip()) for text in texts)
    if not found:
        raise ValueError("without a key")
    return found
