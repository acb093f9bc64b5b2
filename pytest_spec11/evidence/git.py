"""Questions to git about a work tree. They never change it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

from pytest_spec11.errors import CannotJudge

_GIT: Final = ("git", "-c", "core.fsmonitor=false", "-c", "core.untrackedCache=false")
_FOREIGN: Final = ("-u", "GIT_DIR", "-u", "GIT_WORK_TREE", "-u", "GIT_INDEX_FILE")
_LIMIT_S: Final = 120


def text(root: Path, *words: str, variables: tuple[str, ...] = ()) -> str:
    """Git's answer. Raises CannotJudge when git refuses."""
    done = run(root, *words, variables=variables)
    if done.returncode:
        raise CannotJudge(f"git {words[0]} in {root}: {done.stderr.strip()[:300]}")
    return done.stdout.strip()


def run(
    root: Path, *words: str, variables: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """The result of a git command, of any exit status. Raises CannotJudge when git cannot run."""
    argv = ["env", *_FOREIGN, *variables, *_GIT, *words]
    try:
        return subprocess.run(  # noqa: S603  # full argv, no shell
            argv,
            cwd=root,
            capture_output=True,
            check=False,
            encoding="utf-8",
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=_LIMIT_S,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise CannotJudge(f"git in {root}: {error}") from error
