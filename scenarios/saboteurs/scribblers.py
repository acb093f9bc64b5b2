"""Files of a workspace that somebody else changes, restores, makes again or tears."""

from __future__ import annotations

import re
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, Final

from typing_extensions import override

from pytest_spec11.saboteurs.files import FileSaboteur
from pytest_spec11.saboteurs.http import HttpSaboteur
from pytest_spec11.saboteurs.proxy import Exchange
from pytest_spec11.saboteurs.saboteur import Saboteur
from pytest_spec11.saboteurs.wire import Reply
from pytest_spec11.target import Process

JAIL: Final = ".tmp"


def jailed(path: Path) -> bool:
    """Whether a path is of a workspace that plans may write to."""
    return JAIL in path.parts


def files_of(jails: set[Path]) -> list[Path]:
    """Every file in there, links left out."""
    found = [path for jail in tuple(jails) for path in jail.rglob("*")]
    return [path for path in found if path.is_file() and not path.is_symlink()]


class TamperWorkspace(FileSaboteur):
    """A patched file has a byte more."""

    @override
    def reading(self, path: Path) -> None:
        if self.awake and jailed(path) and path.is_file():
            self.hit()
            path.write_bytes(path.read_bytes() + b"!")


class KeepCreated(FileSaboteur):
    """A file that is gone is there again."""

    @override
    def reading(self, path: Path) -> None:
        if self.awake and jailed(path) and not path.exists():
            self.hit()
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"kept")


class Jails(Saboteur):
    """It hears of every workspace that a process is started with."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._jails: set[Path] = set()

    @override
    def process(self, process: Process) -> Process:
        root = process.env.get("SPEC11_WORKSPACE", "")
        if root.startswith("/"):
            self._jails.add(Path(root) / JAIL)
        return process


class RewriteTarget(Jails):
    """A file is written once more, with the same bytes, when a process starts again."""

    @override
    def rises(self, process: str) -> bool:
        for path in files_of(self._jails):
            self.hit()
            fresh = path.with_name(f".{path.name}.again")
            fresh.write_bytes(path.read_bytes())
            fresh.replace(path)
        return True


class EscapeWrite(FileSaboteur):
    """What a plan wanted outside of its jail is there."""

    @override
    def reading(self, path: Path) -> None:
        if self.awake and not jailed(path) and path.is_file() and "outside" in str(path):
            self.hit()
            path.write_bytes(b"escaped")


class TornWrite(Jails):
    """A file that was replaced is half-written for 20 ms; a thread looks out for that.

    It lets the engine finish what it writes to that file first, or it would be the engine that
    finds the torn file and refuses it.
    """

    EVERY_S: ClassVar = 0.005
    CALM_S: ClassVar = 0.1
    TORN_S: ClassVar = 0.02

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._new: dict[Path, tuple[int, float]] = {}  # inode, and since when it is there
        self._torn: set[tuple[Path, int]] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @override
    def process(self, process: Process) -> Process:
        if self._thread.ident is None:
            self._thread.start()
        return super().process(process)

    def _run(self) -> None:
        while not self._over.wait(self.EVERY_S):
            for path in files_of(self._jails) if self.awake else ():
                with suppress(OSError):  # it may go at any moment
                    self._look(path)

    @override
    def close(self) -> None:
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _look(self, path: Path) -> None:
        inode = path.stat().st_ino
        if self._new.get(path, (0, 0.0))[0] != inode:
            self._new[path] = (inode, time.monotonic())
        elif (path, inode) not in self._torn and self._is_calm(path):
            self._torn.add((path, inode))
            whole = path.read_bytes()
            path.write_bytes(whole[: len(whole) // 2])
            self._over.wait(self.TORN_S)
            path.write_bytes(whole)
            self.hit()

    def _is_calm(self, path: Path) -> bool:
        return time.monotonic() - self._new[path][1] > self.CALM_S


class HealTamper(Jails, HttpSaboteur):
    """What somebody edited in a jail is undone just before the engine looks at it.

    The engine replaces files whole, by new ones; who edits a file keeps its number.
    """

    where = re.compile(r"^(GET|POST) /api/runs/")

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._seen: dict[Path, tuple[int, bytes]] = {}

    @override
    def reading(self, path: Path) -> None:
        self._learn()

    @override
    def rises(self, process: str) -> bool:
        self._heal()
        return True

    @override
    async def answer(self, exchange: Exchange) -> Reply:
        if exchange.method == "POST":
            self._heal()
        else:
            self._learn()
        return await exchange.forward()

    def _learn(self) -> None:
        for path in files_of(self._jails):
            inode = path.stat().st_ino
            if path not in self._seen or self._seen[path][0] != inode:
                self._seen[path] = (inode, path.read_bytes())

    def _heal(self) -> None:
        for path in files_of(self._jails):
            inode, before = self._seen.get(path, (0, b""))
            if path.stat().st_ino == inode and path.read_bytes() != before:
                self.hit()
                path.write_bytes(before)
