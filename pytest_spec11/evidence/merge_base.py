"""The merge base: what the tree held where its branch left the main branch, as git keeps it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pytest_spec11.errors import BadInput, CannotJudge
from pytest_spec11.evidence import git
from pytest_spec11.requirements import tree_catalogue

_BRANCHES: Final = ("origin/HEAD", "origin/main", "origin/master", "main", "master")
_MARKS: Final = r"claim\([\"'][^\"']+[\"']\)"


@dataclass(frozen=True, slots=True)
class MergeBase:
    """A commit, and what a release asked for at it; a file that it did not hold is None."""

    commit: str
    policy: str | None
    catalogue: str | None
    marks: Counter[str]


def read(root: Path, policy: Path, catalogue: Path) -> MergeBase | None:
    """The merge base of the work tree at ``root``, if it has one.

    Its claims are those that the tree named then; ``catalogue`` is the file if it named none.
    Raises CannotJudge when git cannot be run.
    """
    commit = _find_commit(root)
    if not commit:
        return None
    return MergeBase(
        commit,
        _read_file(root, commit, policy),
        _read_file(root, commit, _find_catalogue(root, commit) or catalogue),
        count_marks(root, commit),
    )


def count_marks(root: Path, commit: str = "") -> Counter[str]:
    """How often the tests of a commit mark each claim; without one, those of the work tree."""
    words = (_MARKS, commit) if commit else ("--untracked", _MARKS)
    done = git.run(root, "grep", "--no-color", "-h", "-o", "-E", *words, "--", "*.py")
    if done.returncode > 1:  # 1 is: nothing found
        raise CannotJudge(f"git grep in {root}: {done.stderr.strip()[:300]}")
    return Counter(done.stdout.replace("'", '"').split())


def _find_commit(root: Path) -> str:
    """The merge base with the main branch; on that branch itself, the commit before."""
    for branch in _BRANCHES:
        base = git.run(root, "merge-base", "HEAD", branch).stdout.strip()
        if base and base != git.text(root, "rev-parse", "HEAD"):
            return base
    return git.run(root, "rev-parse", "--verify", "--quiet", "HEAD^").stdout.strip()


def _find_catalogue(root: Path, commit: str) -> Path | None:
    """The file with the claims that the tree of the commit named, if it named one."""
    try:
        name = tree_catalogue.find_name(lambda each: _read_file(root, commit, root / each))
    except BadInput:
        return None
    return root / name if name else None


def _read_file(root: Path, commit: str, path: Path) -> str | None:
    """The file as the commit held it, if it did."""
    place = path.resolve()
    if not place.is_relative_to(root.resolve()):
        return None
    near = place.relative_to(root.resolve()).as_posix()
    done = git.run(root, "show", f"{commit}:./{near}")
    return None if done.returncode else done.stdout
