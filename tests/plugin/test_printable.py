"""What a test or a target says never steers the terminal of whoever reads it."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from pytest_spec11.cli import main
from pytest_spec11.judge.reasons import reason
from pytest_spec11.printable import SafeOutput, escape_controls
from pytest_spec11.verify.findings import Findings

HOSTILE = "\x1b[2J\x00 GO\r\u202e\u2028\x9b"
SHOWN = r"\x1b[2J\x00 GO\r\u202e\u2028\x9b"


def test_what_steers_a_terminal_is_shown_as_its_escape() -> None:
    assert escape_controls(HOSTILE) == SHOWN
    assert escape_controls("größer 日本 🙂") == "größer 日本 🙂"
    assert reason("E-FAILED", "t.py::test", HOSTILE).text == SHOWN


def test_the_verifier_shows_it_so_too() -> None:
    findings = Findings()
    findings.add("E-REF", HOSTILE, HOSTILE)

    assert [(each.where, each.text) for each in findings.all] == [(SHOWN, SHOWN)]


def test_a_stream_keeps_lines_and_tabs() -> None:
    inner = io.StringIO()
    print(f"a\tb\n{HOSTILE}", file=SafeOutput(inner))

    assert inner.getvalue() == f"a\tb\n{SHOWN}\n"


def test_a_command_escapes_what_its_arguments_hold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(tmp_path / "\x1b[31mnowhere")]) == 3

    assert "\x1b" not in (said := capsys.readouterr().err)
    assert r"\x1b[31mnowhere" in said


def test_json_of_a_command_stays_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["claims", "--json"]) == 0

    assert json.loads(capsys.readouterr().out)
