"""``spec11 sabotage`` on another team's system: what is a kill, what survives, what is refused."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pytest_spec11.evidence import kill_matrix
from pytest_spec11.evidence.kill_matrix import Cell
from pytest_spec11.waiting import GIVE_UP_S, eventually
from tests.plugin.faults import ANSWERS, CLAIMS, with_saboteurs
from tests.plugin.team import Team, are_gone

SCHEMA = Path(kill_matrix.__file__).parent / "schemas" / "kills.schema.json"
SURVIVORS = {
    "S00.weak": "survived",
    "S00.unhit": "never took effect; the claim was PASS",
    "S00.breaks": "red, but the claim itself did not fail",
    "S00.other": "red for another reason than 'assert 500 == 200'",
    "S00.red": "not green without it: FAIL",
    "S00.nobody": "never took effect; the claim was UNKNOWN",
    "S00.untested": "not green without it: UNKNOWN",
}


def kills(team: Team) -> dict[str, Any]:
    (*_, newest) = sorted(
        team.path.glob(".spec11/*/kills.json"), key=lambda each: each.stat().st_mtime_ns
    )
    found: dict[str, Any] = json.loads(newest.read_text())
    jsonschema.validate(found, json.loads(SCHEMA.read_text()))
    return found


def rows(team: Team) -> dict[tuple[str, str], dict[str, Any]]:
    return {(each["saboteur"], each["claim"]): each for each in kills(team)["cells"]}


def test_a_claim_is_seen_red_for_its_own_reason_and_green_again(
    team: Callable[..., Team],
) -> None:
    ours, began = with_saboteurs(team), time.time_ns() // 1_000_000

    ended = ours.sabotage("--no-mutants", "--claim", ANSWERS, "--claim", "S00.plain")

    assert ended.status == 0, ended.out + ended.err
    assert "2 of 2 cells killed" in ended.out
    found = rows(ours)
    cell = found["http.broken", ANSWERS]
    assert (cell["before"], cell["during"], cell["after"]) == ("PASS", "FAIL", "PASS")
    assert cell["hits"] == 1
    assert cell["reason"]["text"].startswith("AssertionError: assert 500 == 200")
    assert 'assert api.get("/healthz").status == 200' in cell["reason"]["text"]
    assert began <= cell["redAt"] <= cell["greenAt"] <= time.time_ns() // 1_000_000
    assert found["proc.mode", "S00.plain"]["hits"] == 1  # before the test, and it holds
    twin = found["http.none", ANSWERS]
    assert (twin["hits"], twin["during"], twin["reason"]) == (1, "PASS", None)
    assert twin["redAt"] == 0
    assert ("proc.none", ANSWERS) in found


def test_what_evidence_shows_green_is_not_run_without_a_fault(team: Callable[..., Team]) -> None:
    ours = with_saboteurs(team)
    ours.write("spec11.toml", '[release]\napp_version = "v7"\n')
    ours.commit()
    assert ours.run("-k", "killed or red", "--spec11-scope", "signoff").status == 1
    claims = ("--claim", ANSWERS, "--claim", "S00.red", "--green", str(ours.bundle))

    ended = ours.sabotage("--no-mutants", *claims)
    cells = rows(ours)

    assert ended.status == 1
    assert "before" not in ended.err
    assert kills(ours)["binding"]["appVersion"] == "v7"
    assert cells["http.broken", ANSWERS]["before"] == cells["http.broken", ANSWERS]["after"]
    assert (cells["http.broken", ANSWERS]["during"], cells["http.broken", "S00.red"]["before"]) == (
        "FAIL", "FAIL"
    )  # fmt: skip
    assert "1 of 2 cells killed" in ended.out

    ours.write("added.py", "")
    again = ours.sabotage("--no-mutants", *claims)
    assert (again.status, len(again.err.splitlines())) == (3, 1)
    assert "Run again on the tree" in again.err


def test_whatever_is_no_kill_is_a_survivor_and_says_why(team: Callable[..., Team]) -> None:
    ours = with_saboteurs(team)

    ended = ours.sabotage("--no-mutants")

    assert ended.status == 1
    found = rows(ours)
    lines = ended.out.splitlines()
    for claim, why in SURVIVORS.items():
        named = CLAIMS[claim][0]
        (at,) = (n for n, line in enumerate(lines) if line.split()[1:3] == [named, claim])
        assert (lines[at].split()[0], lines[at + 1].strip()) == ("SURVIVED", why)
        assert f"{named} {claim}" in lines[-2]
        assert (named, claim) in found
    assert found["http.broken", ANSWERS]["during"] == "FAIL"
    assert "2 of 9 cells killed" in ended.out


def test_what_the_signoff_does_not_need_is_not_tried_unless_it_is_named(
    team: Callable[..., Team],
) -> None:
    ours = with_saboteurs(team)
    known = json.loads((ours.path / "catalogue.json").read_text())
    (later,) = [c for c in known["scenarios"][0]["claims"] if c["id"] == "S00.plain"]
    later["scopes"] = ["live-smoke"]
    ours.write("catalogue.json", json.dumps(known))

    unneeded = ours.sabotage("--no-mutants", "--saboteur", "proc.mode")
    needed = ours.sabotage("--no-mutants", "--saboteur", "proc.mode", "--scope", "live-smoke")
    named = ours.sabotage("--no-mutants", "--claim", "S00.plain")

    assert (unneeded.status, "no cell: proc.mode" in unneeded.err) == (3, True)
    for ended in (needed, named):
        assert (ended.status, "1 of 1 cells killed" in ended.out) == (0, True)


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (("--claim", "S00.nothing"), "no claim S00.nothing"),
        (("--saboteur", "http.rare"), "no cell: http.rare"),
        (("-m", "S09"), "no claim of S09 is needed at signoff"),
        (("--budget", "0"), "--budget takes a number"),
        (("--jobs", "0"), "--jobs takes a number"),
    ],
)
def test_what_there_is_not_is_bad_input(
    team: Callable[..., Team], args: tuple[str, ...], why: str
) -> None:
    ended = with_saboteurs(team).sabotage("--no-mutants", *args)

    assert ended.status == 3
    assert why in ended.err
    assert len(ended.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (("--spec11-scope", "signoff"), "a sabotaged run proves nothing: do not give a scope"),
        (("-n", "2"), "a sabotaged run needs one process"),
        (
            ("--spec11-saboteur", "http.rare"),
            "no saboteur http.rare; there are: file.none, http.broken",
        ),
        (("--spec11-claims", "S00.kill"), "no claim S00.kill in the catalogue"),
    ],
)
def test_a_sabotaged_run_that_may_not_be_ends_before_it_begins(
    team: Callable[..., Team], args: tuple[str, ...], why: str
) -> None:
    ended = with_saboteurs(team).run("--spec11-saboteur", "http.broken", *args)

    assert ended.status == 4
    assert why in ended.out + ended.err


def test_only_the_tests_of_the_claims_that_were_asked_for_are_run(
    team: Callable[..., Team],
) -> None:
    assert "1 passed, 7 deselected" in with_saboteurs(team).run("--spec11-claims", ANSWERS).out


SLOW = """
import os, pathlib, threading, pytest

@pytest.mark.S00
@pytest.mark.claim("S00.killed")
def test_it_takes_long(api):
    pathlib.Path("under-way").write_text(f"{os.getpid()} ")
    threading.Event().wait(300)
    assert api.get("/healthz").status == 200
"""


def test_whoever_ends_it_ends_the_runs_that_are_under_way(team: Callable[..., Team]) -> None:
    ours = with_saboteurs(team)
    ours.write("test_proof.py", SLOW)
    args = ("sabotage", "--no-mutants", "--catalogue", "catalogue.json", "--claim", ANSWERS)

    with ours.start_pytest(*args, module="pytest_spec11.cli") as command:
        told = ours.path / "under-way"
        eventually(lambda: told.exists() and told.read_text().endswith(" "), deadline_s=120)
        command.terminate()
        assert command.wait(GIVE_UP_S) != 0

    assert are_gone([int(told.read_text())])


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({}, ""),
        ({"before": "FAIL"}, "not green without it: FAIL"),
        ({"hits": 0}, "never took effect; the claim was FAIL"),
        ({"during": "PASS"}, "survived"),
        ({"during": "UNKNOWN"}, "red, but the claim itself did not fail"),
        ({"expected": ""}, "red for another reason than ''"),
        ({"expected": "404"}, "red for another reason than '404'"),
        ({"after": "UNKNOWN"}, "not green afterwards: UNKNOWN"),
        ({"saboteur": "sql.none"}, "the benign twin turned it red"),
        ({"saboteur": "sql.none", "during": "PASS"}, ""),
        ({"saboteur": "sql.none", "during": "PASS", "hits": 0}, "never took effect"),
    ],
)
def test_a_cell_is_killed_only_when_all_of_it_is_so(change: dict[str, Any], fault: str) -> None:
    killed: dict[str, Any] = {
        "saboteur": "sql.row-edit",
        "claim": "S00.a",
        "hits": 1,
        "text": "assert 1 == 2",
        "before": "PASS",
        "during": "FAIL",
        "expected": "1 == 2",
        "after": "PASS",
    }

    cell = Cell(**{**killed, **change})

    assert cell.fault.startswith(fault) if fault else cell.good


DIES = """
import os
import pytest

@pytest.mark.S00
@pytest.mark.claim("S00.answers")
def test_it_answers(api):
    assert api.get("/healthz").status == 200

@pytest.mark.S00
@pytest.mark.claim("S00.lives")
def test_it_dies(api):
    os._exit(9)
"""


def test_a_run_that_is_broken_off_keeps_what_it_found(team: Callable[..., Team]) -> None:
    ours = team(DIES)

    ended = ours.run("--spec11-findings")

    assert ended.status == 9
    (line,) = (ours.bundle / kill_matrix.FINDINGS).read_text().splitlines()
    assert (json.loads(line)["node"], json.loads(line)["outcome"]) == (
        "test_proof.py::test_it_answers", "PASS"
    )  # fmt: skip
