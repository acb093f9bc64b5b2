from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_spec11.cli import main
from pytest_spec11.evidence import binding
from pytest_spec11.requirements.policy import Policy
from tests.plugin.judge.stand import happy, small

GO = """\
GO for the release: 2 of 2 needed claims proven; never seen red: none; weaker than the merge base:
  none; plugins besides pytest: none
"""


def git(folder: Path, *words: str) -> None:
    who = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)  # noqa: S603, S607


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    folder.mkdir()
    (folder / "code.py").write_text("x = 1\n")
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "first")
    return folder


@pytest.fixture
def gate(tmp_path: Path, tree: Path) -> Callable[..., int]:
    found = small(tmp_path)
    stand = happy(found)
    stand.bound = dict(binding.measure(tree, "v1", "signoff", found.digest))
    stand.kept.append(Policy().content)
    stand.write(tmp_path / "run")
    catalogue_path = str(tmp_path / "catalogue.json")

    def call(*words: object) -> int:
        given_ = [str(word) for word in words]
        return main(["gate", *given_, "--root", str(tree), "--catalogue", catalogue_path])

    return call


def test_the_gate_says_go_by_status_0(
    gate: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "signoff.json"
    assert gate(tmp_path / "run", "--out", out) == 0
    assert capsys.readouterr().out.endswith(GO)
    assert json.loads(out.read_text())["verdict"] == "GO"
    assert gate(tmp_path / "run", "--json", "--app-version", "v2") == 1
    assert json.loads(capsys.readouterr().out)["reasons"][0]["code"] == "E-APPVERSION"
    assert gate(tmp_path / "nowhere", "--out", out) == 3
    assert not out.exists()


def test_an_edit_hidden_from_git_status_is_still_seen(
    gate: Callable[..., int], tree: Path, tmp_path: Path
) -> None:
    index = (tree / ".git" / "index").read_bytes()
    (tree / "new.py").write_text("")
    assert gate(tmp_path / "run") == 1
    assert (tree / ".git" / "index").read_bytes() == index
    (tree / "new.py").unlink()
    assert gate(tmp_path / "run") == 0
    git(tree, "update-index", "--assume-unchanged", "code.py")
    (tree / "code.py").write_text("x = 2\n")
    assert gate(tmp_path / "run") == 1


def test_a_tree_that_git_cannot_read_gets_no_verdict(
    gate: Callable[..., int], tree: Path, tmp_path: Path
) -> None:
    (tree / ".git" / "HEAD").write_text("nonsense")
    assert gate(tmp_path / "run") == 2


def test_garbage_is_bad_input_or_no_go_never_go(
    gate: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "void").mkdir()
    assert gate(tmp_path / "void") == 3
    assert gate(tmp_path / "missing") == 3
    assert gate(tmp_path / "catalogue.json") == 3
    (tmp_path / "void" / "journal-main.ndjson").write_bytes(bytes(range(256)) * 9)
    assert gate(tmp_path / "void") == 1
    assert gate(tmp_path / "run", tmp_path / "void") == 1
    monkeypatch.setattr("pytest_spec11.verdict.gate.judge", None)
    assert gate(tmp_path / "run") == 4


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ([], 2),
        (["gate"], 2),
        (["gate", "x", "--no-such"], 2),
        (["claims", "-m", "S99"], 3),
        (["claims", "-m", "S02"], 0),
        (["claims", "--markdown"], 0),
        (["claims", "--json"], 0),
        (["--help"], 0),
    ],
)
def test_wrong_usage_is_2_and_bad_input_is_3(words: list[str], status: int) -> None:
    assert main(words) == status
