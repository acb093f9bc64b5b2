"""Hears which files the code of a tree reads: the interpreter audits every open.

An audit hook cannot be removed, so there is one for a process, and it does nothing until
:func:`watch` names a root. It sees Python's own ways to a file. It does not see what another
process or a C library reads: the threat model says so (D40, D43).
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Final

_PROVER: Final = str(Path(__file__).resolve().parent) + os.sep
# What these parts of the prover read is observed, or belongs to the target: it is no input.
_OBSERVES: Final = (f"{_PROVER}oracles{os.sep}", f"{_PROVER}launch{os.sep}")
_CODE: Final = (".py", ".pyc")
_WRITES: Final = os.O_WRONLY | os.O_RDWR
_CREATES: Final = os.O_TRUNC | os.O_EXCL
# The events that name a file which is about to be read, and the place of its name in the arguments.
_NAMES: Final = {"sqlite3.connect": 0, "os.link": 0, "os.rename": 0, "os.symlink": 0}
_COMMANDS: Final = frozenset(
    {"subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn", "os.system"}
)
_BREAKS: Final = re.compile(r"[\s=;|&<>()'\"]+")  # between the words of a line for a shell
_LONGEST: Final = 4096  # of a word that can be a path


class OpenedFiles:
    """The files below ``root`` that were read so far, by the kind of what they gave."""

    def __init__(self, root: Path) -> None:
        self._roots = tuple(dict.fromkeys(f"{each}{os.sep}" for each in (root.resolve(), root)))
        self._root = self._roots[0]
        prefix = str(Path(sys.prefix).resolve()) + os.sep
        self._environment = (
            prefix if prefix.startswith(self._root) and prefix != self._root else "\0"
        )  # below no root
        self._known: set[str] = set()
        self.made: set[str] = set()  # by this process in this run, wherever
        self.code: set[str] = set()
        self.inputs: set[str] = set()
        self.environment: set[str] = set()  # files of the virtual environment
        self.faults: list[str] = []  # what could not be heard

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Take one audit event. It never raises: an audited call must not fail because of us."""
        try:
            if event == "open":
                self._hear_open(*arguments)
            elif event in _COMMANDS:
                folder = arguments[2] if event == "subprocess.Popen" else None
                for word in _list_words(arguments):
                    self._hear_command(word, folder)
            elif event == "os.rename" and self._find_target(arguments[0]) in self.made:
                self.made.add(self._find_target(arguments[1]))
            elif event in _NAMES:
                self._hear_read(arguments[_NAMES[event]])
        except (OSError, ValueError, TypeError) as error:
            self.faults.append(f"{event}: {type(error).__name__}")

    def _hear_open(self, name: Any, mode: Any, flags: int) -> None:
        del mode
        if isinstance(name, int):
            return
        if flags & _WRITES and flags & _CREATES:
            self.made.add(self._find_target(name))
        elif not flags & os.O_WRONLY:
            self._hear_read(name)

    def _hear_read(self, name: Any) -> None:
        near = self._find(name)
        if not near or near in self._known or not os.path.isfile(near):  # noqa: PTH113  # a text
            return
        if near.startswith(self._environment):
            self._keep(near, self.environment)
            return
        path = os.path.realpath(near)
        if path in self.made:
            return
        if near.endswith(_CODE):
            self._keep(near, self.code, path)
        elif self._is_read_by_tree():
            self._keep(near, self.inputs, path)

    def _keep(self, near: str, kind: set[str], path: str = "") -> None:
        self._known.add(near)
        kind.add(path or near)

    def _hear_command(self, word: str, folder: Any) -> None:
        """A word of a command that names a file below the root: that file runs, or is read."""
        for part in {word, *_BREAKS.split(word)}:
            if part and len(part) <= _LONGEST and "\0" not in part:
                self._hear_read(os.path.join(folder or "", part))  # noqa: PTH118  # a text

    def _find_target(self, name: Any) -> str:
        return os.path.realpath(os.fsdecode(name))

    def _find(self, name: Any) -> str:
        """The absolute path of a file below the root; empty for any other."""
        path = os.path.abspath(os.fsdecode(name))  # noqa: PTH100  # quick, and for any text
        for root in self._roots:
            if path.startswith(root):
                return self._root + path[len(root) :]
        return ""

    def _is_read_by_tree(self) -> bool:
        """Whether code of the tree is at work, and the prover does not read for it."""
        frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  # nothing else knows who reads
        while frame is not None:
            file = frame.f_code.co_filename
            if file.startswith(_OBSERVES):
                return False
            if file.startswith(self._roots) and not file.startswith((self._environment, _PROVER)):
                return True
            frame = frame.f_back
        return False


def _list_words(arguments: tuple[Any, ...]) -> Iterator[str]:
    """The words of a command in the arguments of its audit event."""
    for each in arguments[:2]:
        if isinstance(each, str | bytes | os.PathLike):
            yield os.fsdecode(each)
        elif isinstance(each, list | tuple):
            yield from (os.fsdecode(word) for word in each if word)


_watched: OpenedFiles | None = None
_is_hooked = False


def watch(root: Path) -> OpenedFiles:
    """Begin to hear what is read below ``root``; what was heard for another root is forgotten."""
    global _watched, _is_hooked  # noqa: PLW0603  # the hook belongs to the process
    _watched = OpenedFiles(root)
    if not _is_hooked:
        sys.addaudithook(_hear)
        _is_hooked = True
    return _watched


def find_watched() -> OpenedFiles | None:
    """What is heard in this process, if anything is."""
    return _watched


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if _watched is not None and (event == "open" or event in _NAMES or event in _COMMANDS):
        _watched.hear(event, arguments)
