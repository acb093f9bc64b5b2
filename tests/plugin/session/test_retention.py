"""What is kept, of runs and of what they saw: the newest, and no secret."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pytest_spec11.session.redaction import Redaction
from pytest_spec11.session.retention import prune
from pytest_spec11.target import Process, Target
from pytest_spec11.verify import verify
from tests.plugin.judge.stand import happy, small
from tests.plugin.team import CONFTEST, Team

NOW = datetime(2026, 1, 9, 12, tzinfo=UTC)


def a_run(folder: Path, hours_ago: float, *, sealed: bool = True) -> str:
    begun = (NOW - timedelta(hours=hours_ago)).strftime("%Y%m%dT%H%M%SZ")
    stand = happy(small(folder))
    stand.sealed = sealed
    return stand.write(folder / f"{begun}-{'a' * 8}").name


def test_the_oldest_finished_runs_go(tmp_path: Path) -> None:
    old, under_way, middle, new = (
        a_run(tmp_path, 4),
        a_run(tmp_path, 3, sealed=False),
        a_run(tmp_path, 2),
        a_run(tmp_path, 1),
    )
    (tmp_path / "notes").mkdir()
    (tmp_path / "20260101T000000Z-bbbbbbbb").symlink_to(tmp_path / new)
    assert prune(tmp_path, 2, NOW) == [old]
    assert prune(tmp_path, 1, NOW) == [middle]
    assert prune(tmp_path, 1, NOW + timedelta(hours=24)) == [under_way]
    assert (tmp_path / new / "journal-main.ndjson").is_file()
    assert (tmp_path / "notes").is_dir()


SECRET, PASSWORD = "s3cr3t-of-the-lab", "hunter-of-2"
LEAKY = """
import pytest

@pytest.mark.S00
@pytest.mark.claim("S00.answers")
def test_it_answers(api):
    said = {"dsn": "postgresql://u:PASSWORD@h/d", "of": "SECRET", "fine": "kept"}
    reply = api.post("/orders?note=SECRET", json=said, headers={"x-note": "SECRET"})
    assert reply.json() == said
""".replace("SECRET", SECRET).replace("PASSWORD", PASSWORD)


def test_no_byte_of_the_evidence_holds_a_secret(team: Callable[..., Team]) -> None:
    ours = team(LEAKY)
    env = f'"MODE": "plain", "LAB_TOKEN": "{SECRET}"'
    ours.write("conftest.py", CONFTEST.replace('"MODE": "plain"', env))
    assert ours.run().status == 0
    kept = {path: path.read_bytes() for path in ours.bundle.rglob("*") if path.is_file()}
    assert any(b'"fine"' in content and b"[hidden]" in content for content in kept.values())
    for path, content in kept.items():
        assert SECRET.encode() not in content, path
        assert PASSWORD.encode() not in content, path
    assert verify(ours.bundle).findings == ()


@pytest.mark.parametrize("content", [b"\xff\xfe s3cr3t-of-the-lab", b"plain s3cr3t-of-the-lab"])
def test_bytes_that_are_no_text_lose_what_is_known(content: bytes) -> None:
    process = Process(name="p", command=("p",), env={"KEY_SECRET": SECRET}, ready=r"ready")
    target = Target(name="t", processes=(process,), base_url="http://h", app_version="1")
    assert SECRET.encode() not in Redaction.of(target).content(content)
    assert Redaction.of(target).facts({"a": [SECRET, 1, None]}) == {"a": ["[hidden]", 1, None]}
