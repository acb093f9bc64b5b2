"""Attached to a system that somebody else started: asked, never controlled."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.plugin.team import SYSTEM, Team

TESTS = """
import pytest

@pytest.mark.S00
@pytest.mark.claim("S00.answers")
def test_it_answers(api):
    assert api.get("/healthz").status == 200

@pytest.mark.S00
@pytest.mark.claim("S00.lives")
def test_it_lives(api, proc):
    assert api.get("/healthz").status == 200
    assert proc.alive("api")

@pytest.mark.S01
@pytest.mark.claim("S01.takes-orders")
def test_it_takes_orders(stacks):
    with stacks.start() as stack:
        assert stack.api.post("/orders").status == 201
"""


@pytest.fixture
def system(tmp_path: Path) -> Iterator[str]:
    """The base URL of a running system."""
    (tmp_path / "elsewhere.py").write_text(SYSTEM)
    with subprocess.Popen(  # noqa: S603  # our own interpreter
        (sys.executable, "-S", "-E", str(tmp_path / "elsewhere.py")),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split()[-1]
            assert process.poll() is None  # nobody ended it
        finally:
            process.kill()


@pytest.fixture
def attached(team: Callable[..., Team], system: str) -> Callable[..., Team]:
    """A team that has run against the system."""

    def run_attached(*args: str, conftest: str = "") -> Team:
        ours = team(TESTS)
        ours.write("conftest.py", conftest)
        ours.commit()
        ours.run("--spec11-base-url", system, *args)
        return ours

    return run_attached


def test_what_can_be_asked_is_proven_and_what_needs_control_is_not(
    attached: Callable[..., Team],
) -> None:
    ours = attached("--spec11-app-version", "v7")
    said = ours.verdict(scope="demo")
    texts = {each["subject"]: each["text"] for each in said["reasons"]}
    assert said["claims"] == {
        "S00.answers": "PASS",
        "S00.lives": "FAIL",
        "S01.takes-orders": "FAIL",
    }
    assert "NotProvable: no process api to look at; known: none" in texts["S00.lives"]
    assert "NotProvable: needs processes of its own" in texts["S01.takes-orders"]
    assert ours.records("start")[0]["binding"]["appVersion"] == "v7"


def test_without_a_version_the_evidence_is_bound_to_none(attached: Callable[..., Team]) -> None:
    ours = attached()
    texts = {each["text"] for each in ours.verdict(scope="demo")["reasons"]}
    assert "the binding lacks appVersion" in texts


def test_the_described_target_is_not_asked_for(attached: Callable[..., Team]) -> None:
    ours = attached(conftest="def pytest_spec11_target(config):\n    raise SystemExit('asked')\n")
    assert ours.verdict(scope="demo")["claims"]["S00.answers"] == "PASS"


def test_passwords_on_the_command_line_are_not_kept(attached: Callable[..., Team]) -> None:
    ours = attached(
        *("--spec11-app-dsn", "postgresql://reader:opensesame@localhost/none"),
        *("--spec11-sys-dsn", "host=localhost user=reader password=opensesame"),
    )
    kept = ours.records("start")[0]["arguments"]
    assert "postgresql://reader:[hidden]@localhost/none" in kept
    assert "opensesame" not in (ours.bundle / "journal-main.ndjson").read_text()


def test_a_system_that_does_not_answer_is_on_record_and_proves_nothing(
    team: Callable[..., Team],
) -> None:
    ours = team(TESTS)
    found = ours.run("--spec11-base-url", "http://127.0.0.1:9", "-k", "answers")
    assert found.status == 1
    seen = ours.records("observation")
    assert [(each["ref"], each["empty"]) for each in seen] == [("GET /healthz", True)]
    assert seen[0]["facts"]["error"].startswith("ConnectError: ")
