"""The tree names its catalogue once, and every command uses that one."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_spec11.errors import BadInput
from pytest_spec11.requirements import catalogue, tree_catalogue
from pytest_spec11.requirements.policy import Policy
from pytest_spec11.verdict import weakenings
from tests.plugin.judge.catalogues import DOCUMENT
from tests.plugin.judge.test_gate import git
from tests.plugin.team import Team

INI = "[pytest]\nspec11_catalogue = claims.json\n"


def find_name(files: dict[str, str]) -> str:
    return tree_catalogue.find_name(files.get)


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({}, ""),
        ({"spec11.toml": '[release]\ncatalogue = "a/claims.json"\n'}, "a/claims.json"),
        ({"pytest.ini": INI}, "claims.json"),
        ({"tox.ini": INI}, "claims.json"),
        ({"setup.cfg": INI.replace("[pytest]", "[tool:pytest]")}, "claims.json"),
        ({"pytest.toml": '[pytest]\nspec11_catalogue = "claims.json"\n'}, "claims.json"),
        ({"pyproject.toml": '[tool.pytest]\nspec11_catalogue = "claims.json"\n'}, "claims.json"),
        (
            {"pyproject.toml": '[tool.pytest.ini_options]\nspec11_catalogue = "claims.json"\n'},
            "claims.json",
        ),
        ({"pytest.ini": "[pytest]\n", "tox.ini": INI}, ""),  # pytest reads the first one alone
        ({"pyproject.toml": "[project]\n", "tox.ini": INI}, "claims.json"),
        (
            {"pytest.ini": INI, "spec11.toml": '[release]\ncatalogue = "claims.json"\n'},
            "claims.json",
        ),
    ],
)
def test_the_policy_or_the_configuration_of_pytest_names_the_file(
    files: dict[str, str], name: str
) -> None:
    assert find_name(files) == name


def test_a_tree_that_names_two_files_is_refused() -> None:
    with pytest.raises(BadInput, match=r"the catalogue a\.json, and pytest\.ini names claims"):
        find_name({"pytest.ini": INI, "spec11.toml": '[release]\ncatalogue = "a.json"\n'})


@pytest.mark.parametrize("name", ["../claims.json", "/claims.json", "", "a//b", "a\nb"])
def test_the_policy_names_a_file_of_the_tree(name: str) -> None:
    with pytest.raises(BadInput, match=r"release\.catalogue: .* is not a file of the tree"):
        find_name({"spec11.toml": f"[release]\ncatalogue = {json.dumps(name)}\n"})


def test_a_configuration_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(BadInput, match=r"pyproject\.toml: "):
        find_name({"pyproject.toml": "[tool.pytest\n"})


def test_a_catalogue_under_another_name_is_compared_with_the_old_one(tmp_path: Path) -> None:
    policy_file = tmp_path / "spec11.toml"
    policy_file.write_text('[release]\ncatalogue = "old.json"\n')
    (tmp_path / "old.json").write_text(json.dumps(DOCUMENT))
    git(tmp_path, "init", "-q", "-b", "main")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "one")
    policy_file.write_text('[release]\ncatalogue = "new.json"\n')
    first, *rest = DOCUMENT["scenarios"]
    fewer = {**DOCUMENT, "scenarios": [{**first, "claims": first["claims"][:1]}, *rest]}
    (tmp_path / "new.json").write_text(json.dumps(fewer))
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "two")
    known = catalogue.parse_catalogue(fewer)

    found = weakenings.measure(tmp_path, tmp_path / "new.json", known, Policy())

    gone = [claim["id"] for claim in first["claims"][1:]]
    assert [line for line in found.sentences if line.endswith("is gone")] == [
        f"catalogue: {claim} is gone" for claim in gone
    ]
    assert gone


def run_printed(team: Team, line: str) -> int:
    """The exit status of the command that ``next:`` prints, run as printed."""
    program, *words = shlex.split(line.removeprefix("next: "))
    assert program == "spec11"
    return team.spec11(*words).status


@pytest.mark.parametrize("place", ["ini", "policy", "option"])
def test_each_next_line_works_as_printed(team: Callable[..., Team], place: str) -> None:
    ours = team()
    if place != "ini":
        settings = (ours.path / "pyproject.toml").read_text()
        ours.write("pyproject.toml", settings.replace('spec11_catalogue = "catalogue.json"', ""))
    if place == "policy":
        ours.write("spec11.toml", '[release]\ncatalogue = "catalogue.json"\n')
    ours.commit()
    words = ["--spec11-catalogue", "catalogue.json"] if place == "option" else []

    found = ours.run("--spec11-scope", "signoff", *words)

    assert found.status == 0
    assert run_printed(ours, found.summary[-1]) == 0
    judged = ours.spec11("gate", str(ours.bundle))
    assert judged.status == (place == "option")  # that tree names no catalogue
    assert ("E-CATALOGUE" in judged.out) == (place == "option")
