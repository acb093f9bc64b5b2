"""The three judges of a release: gate, verifier and board, each asked about a copy."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pytest_spec11 import verify
from pytest_spec11.cli import main
from pytest_spec11.oracles.files import Files
from pytest_spec11.oracles.http import Api
from pytest_spec11.oracles.proc import Proc
from pytest_spec11.stacks import Stack
from pytest_spec11.target import Process
from scenarios.support.release.throwaway_release import SPEC11, ThrowawayRelease

BOARD: Final = "/api/ops/signoff"
LIVE: Final = frozenset({"E-TRIGGER"})  # reasons from the database, not from the files


@dataclass(frozen=True)
class Said:
    """A verdict and its reasons as (code, subject). ``status`` of a command; None for a board."""

    verdict: str
    reasons: tuple[tuple[str, str], ...]
    status: int | None = None

    @property
    def codes(self) -> set[str]:
        """The codes of its reasons."""
        return {code for code, _ in self.reasons}

    @property
    def of_files(self) -> set[str]:
        """The codes of reasons from the files alone."""
        return self.codes - LIVE

    def about(self, code: str) -> set[str]:
        """The subjects of the reasons of a code."""
        return {subject for each, subject in self.reasons if each == code}


def ask_gate(files: Files, case: ThrowawayRelease, scope: str = "signoff") -> Said:
    """The written verdict of ``spec11 gate`` on every bundle."""
    out = case.gated_file
    files.read(case.signoff)  # an observation of the release before it is judged
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        status = main(case.gate_words("--out", str(out), scope=scope))
    content = files.read(out)
    if content is None:
        return Said("none", (), status)
    document = json.loads(content)
    return Said(document["verdict"], _pairs(document["reasons"], "subject"), status)


def ask_verifier(case: ThrowawayRelease) -> Said:
    """The verifier's verdict on sign-off and evidence."""
    report = verify.verify(case.release)
    return Said(report.verdict, tuple((each.code, each.where) for each in report.findings))


def ask_board(api: Api) -> Said:
    """The verdict of the engine's board."""
    answer = api.get(BOARD)
    assert answer.status == 200, answer.text
    board = answer.json()
    return Said(board["verdict"], _pairs(board["reasons"], "subject"))


def _pairs(reasons: Iterable[Mapping[str, str]], key: str) -> tuple[tuple[str, str], ...]:
    return tuple((each["code"], each[key]) for each in reasons)


@dataclass(frozen=True)
class Court:
    """A rehearsal that is GO, and an engine of its own that reads the directory at ``shown``."""

    base: ThrowawayRelease
    stack: Stack
    shown: Path

    @property
    def api(self) -> Api:
        """The engine's board, of scope signoff."""
        return self.stack.api_at("board")

    def board(self, name: str = "board", **env: str) -> Process:
        """An api-shim that knows the release and the directory of its sign-off."""
        told = {
            "SPEC11_SIGNOFF_DIR": str(self.shown),
            "SIGNOFF_COMMIT": str(self.base.here["commit"]),
            "SIGNOFF_TREE": str(self.base.here["tree"]),
            "CLAIM_SCOPE": "signoff",
        }
        return self.stack.fill_process("api").using(told | env, name=name)

    def show(self, case: ThrowawayRelease) -> Said:
        """Point the board to the files of a case and return its verdict."""
        point(self.shown, case.release)
        return ask_board(self.api)

    def triggers(self) -> dict[str, Mapping[str, Any]]:
        """The board's triggers by name, for the files of the base."""
        point(self.shown, self.base.release)
        board = self.api.get(BOARD).json()
        return {each["id"].removeprefix("trigger-"): each for each in board["rollbackTriggers"]}


def point(link: Path, to: Path) -> None:
    """Let ``link`` lead to that directory, atomically."""
    staged = link.with_name("staged")
    staged.symlink_to(to)
    os.replace(staged, link)  # noqa: PTH105  # of the link itself


def ask_gate_process(proc: Proc, case: ThrowawayRelease) -> Said:
    """What ``spec11 gate`` says as a process."""
    done = proc.run([*SPEC11, *case.gate_words("--json")])
    document = json.loads(done.stdout)
    pairs = tuple((each["code"], each["subject"]) for each in document["reasons"])
    return Said(document["verdict"], pairs, done.code)
