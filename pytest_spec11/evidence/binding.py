"""The binding says what was proven: the work tree as it was, the lock file, the machine."""

from __future__ import annotations

import platform
import shutil
import tempfile
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Final

from pytest_spec11.canon import digest
from pytest_spec11.errors import CannotJudge
from pytest_spec11.evidence import git
from pytest_spec11.requirements import policy

KEYS: Final = frozenset(
    {
        "commit",
        "tree",
        "dirty",
        "lock",
        "catalogue",
        "plugin",
        "policy",
        "python",
        "platform",
        "appVersion",
        "scope",
    }
)
# Tools write these, so they are not part of what is proven. Git's ignore rules add the rest.
_IGNORED: Final = frozenset(
    {
        ".git",
        ".hypothesis",
        ".import_linter_cache",
        ".mypy_cache",
        ".pytest_cache",
        ".ruff_cache",
        ".spec11",
        ".venv",
        "__pycache__",
    }
)
_LISTED: Final = 100
_ALL: Final = ("--", ":(top)", ":(top,exclude,glob)**/.spec11/**")


def measure(
    root: Path, app_version: str, scope: str, catalogue_digest: str
) -> dict[str, str | bool]:
    """Everything a verdict depends on, by the names of ``KEYS``.

    Raises CannotJudge when git exists but cannot tell the content of the work tree, BadInput when
    the policy cannot be read.
    """
    lock = root / "requirements.lock"
    commit, tree, dirty = _inside(root) if _has_git(root) else ("", _outside(root), False)
    return {
        "commit": commit,
        "tree": tree,
        "dirty": dirty,
        "lock": sha256(lock.read_bytes()).hexdigest() if lock.is_file() else "",
        "catalogue": catalogue_digest,
        "plugin": identify_prover(),
        "policy": policy.load(root).digest,
        "python": platform.python_version(),
        "platform": f"{platform.system()}-{platform.machine()}",
        "appVersion": app_version,
        "scope": scope,
    }


def plugin_version() -> str:
    """The version of the installed plugin; "0" if it is not installed but only on the path."""
    try:
        return metadata.version("pytest-spec11")
    except metadata.PackageNotFoundError:
        return "0"


@cache
def identify_prover() -> str:
    """Version and digest of the prover's own files: edited code of the same version differs."""
    package = Path(__file__).resolve().parents[1]
    files = {
        path.relative_to(package).as_posix(): sha256(path.read_bytes()).hexdigest()
        for path in sorted(package.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
    return f"{plugin_version()} {digest(files)}"


def _has_git(root: Path) -> bool:
    here = root.resolve()
    return any((folder / ".git").exists() for folder in (here, *here.parents))


def _inside(root: Path) -> tuple[str, str, bool]:
    """Commit, digest of the work tree, and whether the two differ."""
    with tempfile.TemporaryDirectory(prefix="spec11-") as folder:
        index = root / git.text(root, "rev-parse", "--git-path", "index")
        objects = (root / git.text(root, "rev-parse", "--git-path", "objects")).resolve()
        if index.is_file():
            shutil.copy2(index, Path(folder, "index"))
        Path(folder, "objects").mkdir()
        own = (
            f"GIT_INDEX_FILE={folder}/index",
            f"GIT_OBJECT_DIRECTORY={folder}/objects",
            f"GIT_ALTERNATE_OBJECT_DIRECTORIES={objects}",
        )
        hidden = any(
            line[0] == "S" or line[0].islower()
            for line in git.text(root, "ls-files", "-v", variables=own).splitlines()
        )
        git.text(root, "add", "-A", *_ALL, variables=own)
        tree = git.text(root, "write-tree", variables=own)
    head = git.run(root, "log", "-1", "--format=%H%n%T", "HEAD")
    commit, _, committed = head.stdout.strip().partition("\n")
    return commit, tree, hidden or tree != committed


def _outside(root: Path) -> str:
    try:
        found = {path.relative_to(root).as_posix(): _content(path) for path in _files(root)}
        return digest(found)
    except (OSError, ValueError) as error:
        raise CannotJudge(f"work tree {root}: {error}") from error


def list_files(root: Path) -> list[str]:
    """Every file below ``root`` that the binding covers, relative to it.

    Raises CannotJudge when git cannot list them.
    """
    if not _has_git(root):
        return [path.relative_to(root).as_posix() for path in _files(root)]
    found = git.text(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    return sorted({*filter(None, found.split("\0"))})


def list_uncommitted(root: Path) -> list[str]:
    """The files with changes that no commit holds, relative to ``root``; at most 100.

    Raises CannotJudge when git cannot list them.
    """
    if not _has_git(root):
        return []
    told = git.text(root, "status", "--porcelain", "--untracked-files=all", "-z", *_ALL)
    return sorted(line[3:] for line in told.split("\0") if line[2:3] == " ")[:_LISTED]


def _content(path: Path) -> str:
    if path.is_symlink():
        return f"-> {path.readlink()}"
    return sha256(path.read_bytes()).hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name in _IGNORED or path.name.endswith(".egg-info"):
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _files(path)
        elif path.is_file() or path.is_symlink():
            yield path
