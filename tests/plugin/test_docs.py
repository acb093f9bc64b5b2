"""The pages say what is there: every option, hook, fixture, status, error, record and reason."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest

from pytest_spec11 import cli, errors, fixtures, hookspecs
from pytest_spec11.cli import main
from pytest_spec11.evidence import record_shapes
from pytest_spec11.judge.reasons import CODES
from pytest_spec11.options import Settings, flag_of, ini_of
from tests.plugin.team import SYSTEM, Team

ROOT = Path(__file__).parent.parent.parent
VERIFIER = ROOT / "pytest_spec11" / "verify"
PAGE = (ROOT / "docs" / "prover.md").read_text()
LINES = PAGE.splitlines()


def format_default(default: object) -> str:
    text = str(default).lower() if isinstance(default, bool) else str(default)
    return f"`{text}`" if text else ""


def names(module: object, kind: type) -> list[str]:
    return [
        name
        for name, value in vars(module).items()
        if isinstance(value, kind) and getattr(value, "__module__", "") == module.__name__  # type: ignore[attr-defined]  # modules have one
    ]


def test_the_options_table_is_the_options() -> None:
    table = [line for line in LINES if line.startswith("| `--spec11-")]
    assert table == [
        f"| `{flag_of(each.name)}` | `{ini_of(each.name)}` | {format_default(each.default)}"
        f" | {each.metadata['help']} |"
        for each in fields(Settings)
    ]


def test_the_reasons_table_is_the_reasons() -> None:
    begin = LINES.index("## Reasons")
    table = [line for line in LINES[begin:] if line.startswith("| `")]
    assert table == [f"| `{code}` | {known.remedy} |" for code, known in CODES.items()]


def test_every_code_that_is_given_has_a_remedy() -> None:
    places = [*(ROOT / "pytest_spec11" / "judge").glob("*.py"), *VERIFIER.glob("*.py")]
    trees = [ast.parse(place.read_text()) for place in places]
    words = {
        each.value for tree in trees for each in ast.walk(tree) if isinstance(each, ast.Constant)
    }
    given = {word for word in words if isinstance(word, str) and word.startswith("E-")}
    assert given <= CODES.keys()
    assert {code for code in CODES if code.startswith("E-")} <= given


def test_every_hook_error_and_record_is_named() -> None:
    hooks = [name for name in vars(hookspecs) if name.startswith("pytest_spec11_")]
    assert hooks == ["pytest_spec11_target", "pytest_spec11_saboteurs"]
    for name in (*hooks, *names(errors, type), *record_shapes.SHAPES):
        assert f"`{name}" in PAGE


def test_every_fixture_is_named() -> None:
    marked = [
        each.name
        for each in ast.parse(Path(fixtures.__file__).read_text()).body
        if isinstance(each, ast.FunctionDef)
        and any("fixture" in ast.unparse(mark) for mark in each.decorator_list)
    ]
    assert len(marked) > 8
    for name in marked:
        assert f"`{name}`" in PAGE


def test_every_status_is_named() -> None:
    gate = next(line for line in LINES if line.startswith("| `spec11 gate`"))
    for status, word in ((0, "GO"), (1, "NO_GO"), (cli.CANNOT_JUDGE, "no verdict")):
        assert f"{status} {word}" in gate
    every = next(line for line in LINES if line.startswith("| every `spec11` command"))
    assert f"{cli.USAGE} wrong usage, {cli.BAD_INPUT} bad input, {cli.INTERNAL} internal" in every


def test_the_page_of_scenarios_is_the_catalogue(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["claims", "--markdown"]) == 0
    assert capsys.readouterr().out == (ROOT / "docs" / "scenarios.md").read_text()


def test_the_example_is_go_as_it_is_printed(team: Callable[..., Team]) -> None:
    conftest, claims, test = (part.partition("\n")[2] for part in PAGE.split("```")[1:6:2])
    ours = team(f"import pytest\n\n{test}")
    ours.write("orders.py", SYSTEM)
    ours.write("conftest.py", conftest)
    ours.write("catalogue.json", claims)
    ours.commit()
    assert ours.prove().status == 0
    assert ours.gate().status == 0
