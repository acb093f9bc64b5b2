"""Unused, the plugin is not there: no section, no file, no process, nothing heavy imported."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from pytest_spec11.waiting import GIVE_UP_S
from tests.plugin.team import CLEAN, Team

HEAVY = ("filelock", "httpx", "psutil", "psycopg", "rfc8785", "subprocess", "concurrent.futures")
LOADED = "import sys; print(*sorted(sys.modules)); print('end')"
PLAIN = """
class Odd:
    def __getattr__(self, name):
        return self

odd, call = Odd(), Odd()

def test_plain():
    assert 1 + 1 == 2
"""


def modules_after(statement: str) -> set[str]:
    done = subprocess.run(  # noqa: S603  # our own interpreter
        (*CLEAN, sys.executable, "-c", f"{statement}\n{LOADED}"),
        capture_output=True,
        text=True,
        check=True,
        timeout=GIVE_UP_S,
    )
    return set(done.stdout.split())


def test_loading_the_plugin_imports_nothing_but_itself() -> None:
    before = modules_after("import pytest")
    added = modules_after("import pytest, pytest_spec11.plugin") - before
    assert {each for each in added if not each.startswith("pytest_spec11")} == set()
    assert {each for each in added if each.startswith("pytest_spec11")} == {
        "pytest_spec11",
        "pytest_spec11.hookspecs",
        "pytest_spec11.opened_files",
        "pytest_spec11.options",
        "pytest_spec11.plugin",
    }


def test_a_run_that_does_not_use_it_shows_and_leaves_nothing(team: Callable[..., Team]) -> None:
    ours = team(PLAIN)
    ours.write(
        "conftest.py",
        "import sys\n\ndef pytest_unconfigure(config):\n    print('loaded', *sys.modules)\n",
    )
    files = set(ours.path.iterdir())

    found = ours.run("-s")

    loaded = found.out.partition("loaded")[2].split()
    assert found.status == 0
    assert "spec11" not in found.out.partition("collected")[2].partition("loaded")[0]
    assert {
        each for each in set(ours.path.iterdir()) - files if each.name != "__pycache__"
    } == set()
    assert {each for each in loaded if each.startswith("pytest_spec11.")} == {
        "pytest_spec11.options",
        "pytest_spec11.hookspecs",
        "pytest_spec11.opened_files",
        "pytest_spec11.plugin",
    }


def test_a_target_that_no_selected_test_needs_is_not_started(team: Callable[..., Team]) -> None:
    ours = team(PLAIN)
    ours.write("system.py", "raise SystemExit('started')")
    found = ours.run()
    assert found.status == 0
    assert found.summary == []
    assert ours.bundles == []


def test_fixtures_of_the_same_name_but_the_team_s_own_start_nothing(
    team: Callable[..., Team],
) -> None:
    ours = team(
        "import pytest\n\n@pytest.fixture\ndef api():\n    return 7\n\n"
        "def test_theirs(api):\n    assert api == 7\n"
    )
    ours.write("system.py", "open('started', 'w')\nraise SystemExit(1)\n")
    assert ours.run().status == 0
    assert not (ours.path / "started").exists()


def test_a_fixture_that_builds_on_the_plugin_s_starts_the_target(
    team: Callable[..., Team],
) -> None:
    ours = team(
        "import pytest\n\n@pytest.fixture\ndef api(api):\n    return api.get\n\n"
        "@pytest.mark.S00\n@pytest.mark.claim('S00.answers')\n"
        "def test_theirs(api):\n    assert api('/healthz').status == 200\n"
    )
    assert ours.run().status == 0
    assert ours.verdict(scope="demo")["claims"]["S00.answers"] == "PASS"


def test_collecting_only_starts_and_writes_nothing(team: Callable[..., Team]) -> None:
    ours = team()
    ours.write("system.py", "raise SystemExit('started')")
    found = ours.run("--collect-only")
    assert found.status == 0
    assert "3 tests collected" in found.out
    assert ours.bundles == []


def test_markers_are_known_to_strict_runs(team: Callable[..., Team]) -> None:
    found = team().run("--markers")
    known = [line for line in found.out.splitlines() if line.startswith("@pytest.mark.")]
    for number in range(16):
        assert f"@pytest.mark.S{number:02}: proves claims of scenario S{number:02}" in known
    assert "@pytest.mark.claim(id): proves this claim of the catalogue" in known
    assert not any(line.startswith("@pytest.mark.S16") for line in known)


@pytest.mark.parametrize("marked", ["S00", "claim('S00.answers')"])
def test_a_claim_without_a_target_is_a_usage_error(team: Callable[..., Team], marked: str) -> None:
    ours = team(f"import pytest\n@pytest.mark.S00\n@pytest.mark.{marked}\ndef test_it(): ...\n")
    ours.write("conftest.py", "")
    found = ours.run()
    assert found.status == 4
    assert "ERROR: no target: implement pytest_spec11_target(config)" in found.out + found.err
