"""Weakenings: demands that a tree dropped or made weaker since the merge base.

A commit may change a claim. The sign-off lists this for the people who sign; no rule judges it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pytest_spec11.errors import BadInput, CannotJudge
from pytest_spec11.evidence import git
from pytest_spec11.requirements import catalogue, policy
from pytest_spec11.requirements.catalogue import Catalogue
from pytest_spec11.requirements.policy import Policy

_BRANCHES: Final = ("origin/HEAD", "origin/main", "origin/master", "main", "master")
_MARKS: Final = r"claim\([\"'][^\"']+[\"']\)"


@dataclass(frozen=True, slots=True)
class Drift:
    """The commit of the comparison, and the weakenings; both are empty without a base."""

    base: str
    weakenings: tuple[str, ...]


def measure(root: Path, claims: Path | None, known: Catalogue, asked: Policy) -> Drift:
    """Compare the tree at ``root`` with its merge base; ``claims`` is the file of its catalogue.

    Raises CannotJudge when git cannot run.
    """
    base = _base(root)
    if not base:
        return Drift("", ())
    found = [
        *_of_policy(root, base, asked),
        *_of_catalogue(root, base, (claims or catalogue.PACKAGED).resolve(), known),
        *_of_markers(root, base),
    ]
    return Drift(base, tuple(found))


def _base(root: Path) -> str:
    """The merge base with the main branch; on that branch itself, the commit before."""
    for branch in _BRANCHES:
        base = git.run(root, "merge-base", "HEAD", branch).stdout.strip()
        if base and base != git.text(root, "rev-parse", "HEAD"):
            return base
    return git.run(root, "rev-parse", "--verify", "--quiet", "HEAD^").stdout.strip()


def _then(root: Path, base: str, path: Path) -> str | None:
    """The file in the merge base, if it has it."""
    place = path.resolve()
    if not place.is_relative_to(root.resolve()):
        return None
    near = place.relative_to(root.resolve()).as_posix()
    done = git.run(root, "show", f"{base}:./{near}")
    return None if done.returncode else done.stdout


def _of_policy(root: Path, base: str, asked: Policy) -> Iterator[str]:
    text = _then(root, base, root / policy.FILE)
    try:
        if text is not None:
            yield from policy.find_weakenings(policy.read(text.encode()), asked)
    except BadInput as error:
        yield f"the merge base's {error}"


def _of_catalogue(root: Path, base: str, path: Path, known: Catalogue) -> Iterator[str]:
    text = _then(root, base, path)
    try:
        if text is not None:
            yield from catalogue.find_weakenings(catalogue.parse_catalogue(json.loads(text)), known)
    except (BadInput, ValueError, KeyError, TypeError, AttributeError) as error:
        yield f"the merge base's catalogue cannot be read: {type(error).__name__}"


def _of_markers(root: Path, base: str) -> Iterator[str]:
    before, now = _marks(root, _MARKS, base), _marks(root, "--untracked", _MARKS)
    for mark, count in sorted((before - now).items()):
        yield f"tests: {mark} marks {count} fewer"


def _marks(root: Path, *words: str) -> Counter[str]:
    done = git.run(root, "grep", "--no-color", "-h", "-o", "-E", *words, "--", "*.py")
    if done.returncode > 1:  # git exits 1 when it finds nothing
        raise CannotJudge(f"git grep in {root}: {done.stderr.strip()[:300]}")
    return Counter(done.stdout.replace("'", '"').split())
