"""Evidence of a release that is spoilt, healed or exchanged just before a judge looks at it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from typing_extensions import override

from pytest_spec11.saboteurs.proc import ProcSaboteur
from pytest_spec11.saboteurs.proxy import Exchange
from pytest_spec11.saboteurs.saboteur import Saboteur
from pytest_spec11.saboteurs.wire import Reply
from pytest_spec11.target import Process
from scenarios.saboteurs import file_edits
from scenarios.support.release import tampering
from scenarios.support.release.forged_evidence import Line
from scenarios.support.release.tampering import FORGED, HOUR_MS, JUDGED, SIGNED, Tamper
from scenarios.support.release.throwaway_release import GATED, PROVOKED, SPEC11, ThrowawayRelease

RELEASE: Final = re.compile(r"release(-r\d+)?")


def gates(command: Sequence[str]) -> ThrowawayRelease | None:
    """The release that a command gates; None for any other command."""
    if tuple(command[: len(SPEC11)]) != SPEC11 or command[len(SPEC11)] != "gate":
        return None
    told = {word: command[at + 1] for at, word in enumerate(command[:-1]) if word.startswith("--")}
    release = Path(command[len(SPEC11) + 1]).parent
    if RELEASE.fullmatch(release.name) is None or "--root" not in told:
        return None
    return ThrowawayRelease(Path(told["--root"]), release, told["--app-version"])


class Spoiler(ProcSaboteur):
    """A release is spoilt before a test has it gated for the first time."""

    def __init__(
        self, id_: str, does: str, tamper: Tamper, expected: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(id_, does, expected)
        self._tamper = tamper

    @override
    def process(self, process: Process) -> Process:
        case = gates(process.command) if self.awake and not self.count_hits() else None
        if case is not None:
            self._tamper(case)
            self.hit()
        return process


def byte_flip(case: ThrowawayRelease) -> None:
    """A bit of what a test saw is another."""
    tampering.flip(case.blobs[0], 0)


def dirty_tree(case: ThrowawayRelease) -> None:
    """A tracked file was edited after the run."""
    with (case.tree / "system.py").open("a", encoding="utf-8") as file:
        file.write("\n")


def scanner_gone(case: ThrowawayRelease) -> None:
    """The policy's scanner is not there, and its lane is green all the same."""
    (case.tree / "scan.py").unlink()


def remove_declaration(case: ThrowawayRelease) -> None:
    """A failure that was provoked is no longer declared, and every link fits."""

    def drop(found: list[Line]) -> list[Line]:
        return [each for each in found if each["data"].get("workflowId") != f"{PROVOKED}_s03"]

    tampering.records(drop)(case)


# What is done to a release that was GO, by the id of the saboteur.
SPOILERS: Final[Mapping[str, tuple[str, Tamper]]] = {
    "file.byte-flip": ("flips a bit of a blob", byte_flip),
    "file.cut": ("cuts a journal short", JUDGED["cut journal"][1]),
    "file.dirty-tree": ("edits a tracked file after the run", dirty_tree),
    "file.foreign-binding": ("binds the evidence to another commit", FORGED["another commit"][1]),
    "file.forge-kills": ("claims kills of a fault that never hit", JUDGED["kill without a hit"][1]),
    "file.future": ("dates the evidence an hour ahead", FORGED["an hour ahead"][1]),
    "file.hand-written-go": ("a tile refers to nothing", SIGNED["reference to nowhere"][-1]),
    "file.inventory-edit": ("renames a claim in the records", JUDGED["renamed claim"][1]),
    "file.lane-inversion": ("a red check under a green full", JUDGED["red under green"][1]),
    "file.outcome-edit": ("an outcome says passed over an error", JUDGED["torn down badly"][1]),
    "file.scanner-gone": ("removes a policy's scanner", scanner_gone),
    "file.stale": ("dates the evidence two days back", tampering.later(-48 * HOUR_MS)),
    "file.strip-binding": ("binds the evidence to no commit", JUDGED["no commit"][1]),
    "file.swap-tiles": ("exchanges two tiles", SIGNED["tiles exchanged"][-1]),
    "file.symlink-blob": ("a blob is a link to equal bytes", tampering.blob(tampering.link)),
    "file.undeclare": ("removes a declared provocation", remove_declaration),
}


class Archive(Saboteur):
    """It knows the first release that was gated, which nobody had spoilt yet."""

    _whole: ThrowawayRelease | None = None

    @override
    def process(self, process: Process) -> Process:
        if not self.awake:
            self._whole = self._whole or gates(process.command)
        return super().process(process)


class JudgeSwap(Archive):
    """Whoever reads what the gate wrote finds the sign-off of the release that was GO."""

    @override
    def before_read(self, path: Path) -> None:
        if self.awake and self._whole is not None and path.name == GATED:
            shutil.copy(self._whole.signoff, path)
            self.hit()


class HealTamper(Archive, file_edits.HealTamper):
    """What was spoilt in a jail, a pack or a copy of a release is whole when it is judged."""

    where = re.compile(r"^(GET|POST) /api/(runs/|ops/signoff)")

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._shown = Path()

    @override
    def process(self, process: Process) -> Process:
        shown = process.env.get("SPEC11_SIGNOFF_DIR", "")
        self._shown = Path(shown) if shown else self._shown
        case = gates(process.command)
        if case is not None and self.awake:
            self._mend(case.release)
        return super().process(process)

    @override
    def before_read(self, path: Path) -> None:
        release = next((each for each in path.parents if RELEASE.fullmatch(each.name)), None)
        if release is not None and self.awake:
            self._mend(release)
        if release is None and path.name != GATED:  # neither is a pack
            super().before_read(path)

    @override
    async def answer(self, exchange: Exchange) -> Reply:
        if exchange.path == "/api/ops/signoff":
            self._mend(self._shown.resolve())
        return await super().answer(exchange)

    def _mend(self, release: Path) -> None:
        """The copy of the release, and that of its tree, are as the first ones are."""
        whole = self._whole
        if whole is None or release == whole.release or not RELEASE.fullmatch(release.name):
            return
        if not release.is_relative_to(whole.release.parents[1]):  # no test's own
            return
        pairs = [(release, whole.release)]
        pairs += [(each.parent, whole.tree) for each in release.parent.glob("*/spec11.toml")]
        for ours, first in pairs:
            if ours != first and contents(ours) != contents(first):
                shutil.rmtree(ours)
                shutil.copytree(first, ours, symlinks=True)
                self.hit()


def contents(folder: Path) -> dict[str, bytes | str]:
    """All that lies there but a repository's own, by its place; of a link, where it leads."""
    return {
        str(path.relative_to(folder)): str(path.readlink()) if path.is_symlink() else
        path.read_bytes()
        for path in folder.rglob("*")
        if not path.is_dir() and not {".git", "__pycache__"} & {*path.relative_to(folder).parts}
    }  # fmt: skip
