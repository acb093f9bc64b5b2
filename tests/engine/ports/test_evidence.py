from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

import pytest

from engine.core.signoff import Sight
from engine.ports import evidence
from engine.ports.evidence import Astray, Evidence


@pytest.fixture
def kept(tmp_path: Path) -> Evidence:
    root = tmp_path / "evidence"
    (root / "run").mkdir(parents=True)
    (root / "run/blob").write_bytes(b"seen")
    (tmp_path / "outside").write_bytes(b"seen")
    return Evidence(root)


def test_a_reference_leads_to_bytes(kept: Evidence) -> None:
    assert kept.sight("run/blob") == Sight(sha256(b"seen").hexdigest(), 4)


@pytest.mark.parametrize(
    ("ref", "problem"),
    [
        ("run/none", "leads to nothing"),
        ("none/blob", "leads to nothing"),
        ("../outside", "leads out of the evidence"),
        ("run/../run/blob", "leads out of the evidence"),
        ("/etc/hostname", "leads out of the evidence"),
        ("", "leads out of the evidence"),
        ("run/b\0lob", "leads out of the evidence"),
        ("run", "is no regular file"),
        ("run/blob/more", "leads through a link"),
    ],
)
def test_a_reference_that_leads_elsewhere(kept: Evidence, ref: str, problem: str) -> None:
    seen = kept.sight(ref)

    assert (seen.sha256, seen.size) == ("", 0)
    assert seen.problem.startswith(problem)


def test_no_link_is_followed_and_no_pipe_is_waited_for(kept: Evidence, tmp_path: Path) -> None:
    (kept.root / "run/link").symlink_to(tmp_path / "outside")
    (kept.root / "linked").symlink_to(kept.root / "run")
    os.mkfifo(kept.root / "run/pipe")

    assert kept.sight("run/link").problem == "leads through a link"
    assert kept.sight("linked/blob").problem == "leads through a link"
    assert kept.sight("run/pipe").problem.startswith("is no regular file")


def test_without_a_directory_there_is_nothing(tmp_path: Path) -> None:
    nowhere = Evidence(tmp_path / "nowhere")

    assert nowhere.signoff() is None
    assert nowhere.sight("run/blob").problem == "leads to nothing"


def test_a_sign_off_that_is_too_large_is_not_read(
    kept: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "LARGEST_SIGNOFF", 10)
    (kept.root / "signoff.json").write_bytes(b"x" * 11)

    with pytest.raises(Astray, match="larger than 10 bytes"):
        kept.signoff()


def test_records_end_where_they_cannot_be_read(kept: Evidence) -> None:
    (kept.root / "run/journal").write_bytes(b'{"a": 1}\n[2]\n{"a": 3}\n{"a": ')

    assert [*kept.records("run/journal")] == [{"a": 1}, {"a": 3}]
