"""The command line: what it says when it is asked nothing, too little, or for an explanation."""

from __future__ import annotations

import json
from importlib import metadata

import pytest

from pytest_spec11.cli import main
from pytest_spec11.judge.meanings import MEANINGS
from pytest_spec11.judge.reasons import CODES


def test_every_reason_has_a_meaning() -> None:
    assert [*MEANINGS] == [*CODES]


def test_a_reason_is_explained_with_its_way_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "e-dirty", "oc_mode_replay"]) == 0
    said = capsys.readouterr().out
    for code in ("E-DIRTY", "oc_mode"):
        assert MEANINGS[code].says in said
        assert CODES[code].remedy in said
    assert main(["explain", "--json"]) == 0
    assert [*json.loads(capsys.readouterr().out)] == [*CODES]


def test_an_unknown_reason_is_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "E-DIRTI"]) == 3
    assert capsys.readouterr().err == "spec11: no reason E-DIRTI; did you mean E-DIRTY?\n"


def test_the_command_alone_shows_what_to_do_next(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "pytest --spec11-scope signoff" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["nothing"], ["gate"], ["gate", "--nothing", "x"]])
def test_wrong_usage_is_2_as_with_every_other_command(words: list[str]) -> None:
    assert main(words) == 2


def test_the_version_is_that_of_the_distribution(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"spec11 {metadata.version('pytest-spec11')}\n"
