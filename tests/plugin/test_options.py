"""Options: each is a flag and an ini key, and all that is wrong is said at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields

from pytest_spec11.options import Settings, flag_of, ini_of
from tests.plugin.team import CATALOGUE, SETTINGS, Team

SHOWN = """
import pytest

def test_shown(pytestconfig):
    session = pytestconfig.pluginmanager.getplugin("spec11-session")
    print("SHOWN", session.settings)
"""


def test_every_field_is_a_flag_and_an_ini_key_with_its_help(team: Callable[..., Team]) -> None:
    found = " ".join(team().run("--help").out.split())
    for each in fields(Settings):
        assert flag_of(each.name) in found
        assert ini_of(each.name) in found
        assert found.count(each.metadata["help"]) == 2


def test_a_flag_beats_the_file_and_the_file_beats_the_default(team: Callable[..., Team]) -> None:
    ours = team(SHOWN)
    ours.write(
        "pyproject.toml",
        SETTINGS + 'spec11_scope = "signoff"\nspec11_start_s = 7\nspec11_keep_logs = true\n',
    )

    shown = ours.run("-s", "--spec11-scope", "live-smoke", "--spec11-timings").out

    assert "scope='live-smoke'" in shown
    assert "start_s=7.0" in shown
    assert "keep_logs=True" in shown
    assert "timings=True" in shown
    assert "dir='.spec11'" in shown


def test_all_faults_are_one_usage_error(team: Callable[..., Team]) -> None:
    ours = team()
    ours.write("pyproject.toml", SETTINGS + 'spec11_keep_logs = "maybe"\n')

    found = ours.run(
        *("--spec11-scope", "batch"),
        *("--spec11-start-s", "soon"),
        *("--spec11-base-url", "localhost:3001"),
    )

    said = [line for line in (found.out + found.err).splitlines() if line.startswith("ERROR: ")]
    assert found.status == 4
    assert len(said) == 1
    for fault in (
        "--spec11-base-url: 'localhost:3001' is no http:// or https:// URL",
        "--spec11-scope: 'batch' is none of demo, signoff, live-smoke",
        "--spec11-start-s: 'soon' is no float",
        "config option 'spec11_keep_logs' expects a bool, got str: 'maybe'",
    ):
        assert fault in said[0]


def test_seconds_are_finite_and_more_than_none(team: Callable[..., Team]) -> None:
    ours = team()
    for wrong in ("0", "-1", "nan", "inf"):
        found = ours.run("--spec11-start-s", wrong)
        assert found.status == 4
        assert f"--spec11-start-s: {wrong} is no number of seconds" in found.out + found.err


def test_a_catalogue_that_is_none_is_a_usage_error(team: Callable[..., Team]) -> None:
    ours = team()
    for name in ("nowhere.json", "system.py"):
        found = ours.run("--spec11-catalogue", name)
        assert found.status == 4
        assert f"ERROR: catalogue {ours.path / name}: " in found.out + found.err


def test_a_catalogue_whose_triggers_nothing_proves_is_a_usage_error(
    team: Callable[..., Team],
) -> None:
    ours = team()
    trigger = {"id": "trigger-x", "label": "X", "claims": ["S00.answers", "S00.nothing"]}
    ours.write("other.json", json.dumps({**CATALOGUE, "triggers": [trigger]}))
    found = ours.run("--spec11-catalogue", "other.json")
    assert found.status == 4
    assert "catalogue: triggers name unknown claims: S00.nothing" in found.out + found.err


def test_a_directory_that_cannot_be_written_is_a_usage_error(team: Callable[..., Team]) -> None:
    ours = team()
    ours.write("evidence", "a file stands in the way")
    found = ours.run("--spec11-dir", "evidence")
    assert found.status == 4
    assert "ERROR: journal " in found.out + found.err
