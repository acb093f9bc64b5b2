from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_spec11.errors import CannotJudge
from pytest_spec11.evidence import binding


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=t", "-c", "user.email=t@localhost")
    return subprocess.run(  # noqa: S603  # full argv, no shell
        ("git", *who, *words),  # noqa: S607  # git is where it is
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()


def bind_folder(folder: Path) -> dict[str, str | bool]:
    return binding.measure(folder, "v1", "signoff", "c" * 64)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A committed work tree of two files."""
    folder = tmp_path / "tree"
    (folder / "deep").mkdir(parents=True)
    (folder / "code.py").write_text("x = 1\n")
    (folder / "deep" / "more.py").write_text("y = 1\n")
    (folder / ".gitignore").write_text("*.log\n")
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "first")
    return folder


def test_a_committed_tree_is_its_commit_and_its_git_tree(tree: Path) -> None:
    found = bind_folder(tree)
    assert found.keys() == binding.KEYS
    assert found["commit"] == git(tree, "rev-parse", "HEAD")
    assert found["tree"] == git(tree, "rev-parse", "HEAD^{tree}")
    assert found["dirty"] is False


@pytest.mark.parametrize(
    "change",
    [
        lambda tree: (tree / "code.py").write_text("x = 2\n"),
        lambda tree: (tree / "deep" / "more.py").unlink(),
        lambda tree: (tree / "untracked.py").write_text(""),
        lambda tree: (tree / "code.py").chmod(0o755),
        lambda tree: (tree / "link").symlink_to("code.py"),
    ],
    ids=["edit", "removal", "untracked", "mode", "link"],
)
def test_whatever_no_commit_holds_is_dirty_and_another_tree(
    change: Callable[[Path], object], tree: Path
) -> None:
    clean = bind_folder(tree)
    change(tree)
    found = bind_folder(tree)
    assert found["dirty"] is True
    assert found["tree"] != clean["tree"]
    assert found["commit"] == clean["commit"]


@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
def test_what_the_index_is_told_to_overlook_is_dirty(flag: str, tree: Path) -> None:
    git(tree, "update-index", flag, "code.py")
    (tree / "code.py").write_text("x = 2\n")
    assert git(tree, "status", "--short") == ""
    assert bind_folder(tree)["dirty"] is True


def test_a_staged_change_is_dirty(tree: Path) -> None:
    (tree / "code.py").write_text("x = 2\n")
    git(tree, "add", "-A")
    assert bind_folder(tree)["dirty"] is True


def test_ignored_files_and_evidence_are_no_part_of_it(tree: Path) -> None:
    clean = bind_folder(tree)
    (tree / "noise.log").write_text("noise")
    (tree / ".spec11" / "run").mkdir(parents=True)
    (tree / ".spec11" / "run" / "journal-main.ndjson").write_text("{}")
    assert bind_folder(tree) == clean


def test_measuring_leaves_the_repository_as_it_was(tree: Path) -> None:
    (tree / "untracked.py").write_text("new content, of which git has no object\n")
    files = {path: path.read_bytes() for path in (tree / ".git").rglob("*") if path.is_file()}
    bind_folder(tree)
    after = {path: path.read_bytes() for path in (tree / ".git").rglob("*") if path.is_file()}
    assert after == files


def test_a_folder_below_the_root_is_bound_to_the_whole_tree(tree: Path) -> None:
    assert bind_folder(tree / "deep")["commit"] == bind_folder(tree)["commit"]
    (tree / "code.py").write_text("x = 2\n")
    assert bind_folder(tree / "deep")["dirty"] is True


def test_a_repository_without_a_commit_binds_to_none(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "code.py").write_text("")
    assert (bind_folder(tmp_path)["commit"], bind_folder(tmp_path)["dirty"]) == ("", True)


def test_a_repository_that_git_cannot_read_is_no_verdict(tree: Path) -> None:
    (tree / ".git" / "HEAD").write_text("nonsense")
    with pytest.raises(CannotJudge, match="git "):
        bind_folder(tree)


def test_outside_of_git_the_files_are_the_tree_and_there_is_no_commit(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text("x = 1\n")
    (tmp_path / "link").symlink_to("nowhere")
    first = bind_folder(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "code.pyc").write_bytes(b"")
    assert bind_folder(tmp_path) == first
    assert first["commit"] == ""
    (tmp_path / "code.py").write_text("x = 2\n")
    assert bind_folder(tmp_path)["tree"] != first["tree"]


def test_the_lock_file_is_part_of_it(tree: Path) -> None:
    assert bind_folder(tree)["lock"] == ""
    (tree / "requirements.lock").write_text("pytest==9.2.0\n")
    assert len(str(bind_folder(tree)["lock"])) == 64
