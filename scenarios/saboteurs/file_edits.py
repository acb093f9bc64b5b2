"""Files of a workspace that somebody else changes, restores, makes again or tears."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any, ClassVar, Final

from typing_extensions import override

from pytest_spec11.saboteurs.files import FileSaboteur
from pytest_spec11.saboteurs.http import HttpSaboteur
from pytest_spec11.saboteurs.proxy import Exchange
from pytest_spec11.saboteurs.saboteur import Saboteur
from pytest_spec11.saboteurs.wire import Reply
from pytest_spec11.target import Process
from scenarios.saboteurs.false_replies import parse_body, waits

JAIL: Final = ".tmp"


def is_in_jail(path: Path) -> bool:
    """Whether a path is of a workspace that plans may write to."""
    return JAIL in path.parts


def files_of(jails: set[Path]) -> list[Path]:
    """Every file in there, links left out."""
    found = [path for jail in tuple(jails) for path in jail.rglob("*")]
    return [path for path in found if path.is_file() and not path.is_symlink()]


class TamperWorkspace(FileSaboteur):
    """A patched file has a byte more."""

    @override
    def before_read(self, path: Path) -> None:
        if self.awake and is_in_jail(path) and path.is_file():
            self.hit()
            path.write_bytes(path.read_bytes() + b"!")


class KeepCreated(FileSaboteur):
    """A file that is gone is there again."""

    @override
    def before_read(self, path: Path) -> None:
        if self.awake and is_in_jail(path) and not path.exists():
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
    def allows_start(self, process: str) -> bool:
        for path in files_of(self._jails):
            self.hit()
            fresh = path.with_name(f".{path.name}.again")
            fresh.write_bytes(path.read_bytes())
            fresh.replace(path)
        return True


class EscapeWrite(FileSaboteur):
    """What a plan wanted outside of its jail is there."""

    @override
    def before_read(self, path: Path) -> None:
        if self.awake and not is_in_jail(path) and path.is_file() and "outside" in str(path):
            self.hit()
            path.write_bytes(b"escaped")


class TornWrite(Jails, HttpSaboteur):
    """A file that was replaced is half-written for 20 ms, once its run is seen waiting.

    While the engine is still at it, it would be the engine that finds the torn file and refuses it.
    """

    where = re.compile(r"^GET /api/runs/[^/]+$")
    TORN_S: ClassVar = 0.02

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._torn: set[tuple[Path, int]] = set()

    @override
    async def answer(self, exchange: Exchange) -> Reply:
        reply = await exchange.forward()
        if waits(parse_body(reply)):
            for path in files_of(self._jails):
                if whole := self._half(path):
                    await asyncio.sleep(self.TORN_S)
                    self._put(path, whole)
        return reply

    def _half(self, path: Path) -> bytes:
        """What the file held, of which half is left; nothing when it was torn before."""
        number = (path, path.stat().st_ino)
        if number in self._torn:
            return b""
        self._torn.add(number)
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        return whole

    def _put(self, path: Path, whole: bytes) -> None:
        path.write_bytes(whole)
        self.hit()


class PackEdit(FileSaboteur):
    """A pack that a command wrote says something else in one place."""

    @override
    def before_read(self, path: Path) -> None:
        if self.awake and path.name == "pack.json" and path.is_file():
            self.hit()
            path.write_bytes(path.read_bytes().replace(b"ih_", b"Ih_", 1))


class TreeTouch(FileSaboteur):
    """A tracked file has a byte more when it is read again, and at the next reading no more."""

    TRACKED: ClassVar = Path(__file__).parents[2] / "README.md"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._was: bytes | None = None
        self._reads = 0

    @override
    def before_read(self, path: Path) -> None:
        self.close()
        if self.awake and path == self.TRACKED:
            self._reads += 1
            if self._reads > 1:
                self._was = path.read_bytes()
                path.write_bytes(self._was + b"\n")
                self.hit()

    @override
    def close(self) -> None:
        if self._was is not None:
            self.TRACKED.write_bytes(self._was)
            self._was = None


class HealTamper(Jails, HttpSaboteur):
    """What somebody edited in a jail is undone just before the engine looks at it.

    The engine replaces files whole, by new ones; who edits a file keeps its number. A pack that
    somebody changed after it was served is whole again when it is read.
    """

    where = re.compile(r"^(GET|POST) /api/runs/")

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._seen: dict[Path, tuple[int, bytes]] = {}
        self._pack = b""

    @override
    def before_read(self, path: Path) -> None:
        self._learn()
        if not self._pack or path.suffix != ".json" or not path.is_file():
            return
        if path.read_bytes() != self._pack:
            self.hit()
            path.write_bytes(self._pack)

    @override
    def allows_start(self, process: str) -> bool:
        self._heal()
        return True

    @override
    async def answer(self, exchange: Exchange) -> Reply:
        if exchange.method == "POST":
            self._heal()
        else:
            self._learn()
        reply = await exchange.forward()
        if exchange.path.endswith("/repro"):
            self._pack = reply.body
        return reply

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
