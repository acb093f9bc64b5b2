"""``spec11 sabotage`` on another team's system: what is a kill, what survives, what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pytest_spec11 import matrix
from tests.plugin.team import CATALOGUE, CONFTEST, PROOF, Ended, Team

SCHEMA = Path(matrix.__file__).parent / "schemas" / "kills.schema.json"
FAULTS = """
from typing import Any
from pytest_spec11.saboteurs.files import FileSaboteur
from pytest_spec11.saboteurs.http import HttpSaboteur
from pytest_spec11.saboteurs.proc import ProcSaboteur

class Broken(HttpSaboteur):
    async def answer(self, exchange):
        reply = await exchange.forward()
        reply.status = 500
        self.hit()
        return reply

class Idle(HttpSaboteur):
    async def answer(self, exchange):
        return await exchange.forward()

class Mode(ProcSaboteur):
    def process(self, process):
        self.hit()
        return process.using({"MODE": "other"})

def pytest_spec11_saboteurs(config):
    return [
        Broken("http.broken", "each answer is a 500", {"*": "assert 500 == 20"}),
        Idle("http.idle", "does nothing", {"*": "assert"}),
        Mode("proc.mode", "another mode", {"S00.lives": "assert 'other' == 'plain'"}),
    ]
"""
MODE = """
import pytest

@pytest.mark.S00
@pytest.mark.claim("S00.lives")
def test_it_is_plain(api, proc):
    assert proc.alive("api")
    assert api.get("/healthz").json()["mode"] == "plain"
"""


def sabotaged(team: Team, *args: str) -> Ended:
    return team._ended(
        "-m", "pytest_spec11.cli", "sabotage", "--catalogue", "catalogue.json", *args
    )


def with_saboteurs(team: Team, **of: list[str]) -> Team:
    """The team's checkout, where each claim (``answers``) names its saboteurs."""
    catalogue: Any = json.loads(json.dumps(CATALOGUE))
    for scenario in catalogue["scenarios"]:
        for claim in scenario["claims"]:
            if named := of.get(claim["id"].partition(".")[2].replace("-", "_")):
                claim["saboteurs"] = named
    team.write("catalogue.json", json.dumps(catalogue))
    team.write("conftest.py", CONFTEST + FAULTS)
    team.commit()
    return team


def rows(team: Team) -> dict[tuple[str, str], dict[str, Any]]:
    found = json.loads((team.bundle / "kills.json").read_text())
    jsonschema.validate(found, json.loads(SCHEMA.read_text()))
    return {(each["saboteur"], each["claim"]): each for each in found["cells"]}


def test_a_claim_is_seen_red_for_its_own_reason_and_green_again(
    team: Callable[..., Team],
) -> None:
    ours = with_saboteurs(team(PROOF), answers=["http.broken"], takes_orders=["http.broken"])

    ended = sabotaged(ours)

    assert ended.status == 0, ended.out + ended.err
    assert "2 of 2 cells killed" in ended.out
    found = rows(ours)
    cell = found["http.broken", "S00.answers"]
    assert (cell["before"], cell["during"], cell["after"]) == ("PASS", "FAIL", "PASS")
    assert cell["hits"] == 1
    assert cell["reason"]["text"].startswith("AssertionError: assert 500 == 200")
    assert 'assert api.get("/healthz").status == 200' in cell["reason"]["text"]
    twin = found["http.none", "S00.answers"]
    assert (twin["hits"], twin["during"], twin["reason"]) == (1, "PASS", None)
    assert ("proc.none", "S01.takes-orders") in found


def test_what_a_process_was_started_with_is_a_fault_for_every_test_after_it(
    team: Callable[..., Team],
) -> None:
    ours = with_saboteurs(team(MODE), lives=["proc.mode"])

    assert sabotaged(ours).status == 0
    assert rows(ours)["proc.mode", "S00.lives"]["hits"] == 1


def test_a_test_that_cannot_fail_is_named_a_survivor(team: Callable[..., Team]) -> None:
    weak = PROOF.replace("status == 200", "status > 0")
    ours = with_saboteurs(team(weak), answers=["http.broken"])

    ended = sabotaged(ours)

    assert ended.status == 1
    assert "survivors: http.broken S00.answers" in ended.out
    assert rows(ours)["http.broken", "S00.answers"]["during"] == "PASS"


@pytest.mark.parametrize(
    ("saboteur", "test", "why"),
    [
        ("http.idle", PROOF, "never took effect; the claim was PASS"),
        (
            "http.broken",
            PROOF.replace(
                'assert api.get("/healthz").status == 200',
                'seen = api.get("/healthz"); {200: 1}[seen.status]; assert seen.status == 200',
            ),
            "red, but not because the claim is untrue",
        ),
        (
            "http.broken",
            PROOF.replace(
                'assert api.get("/healthz").status == 200',
                'assert api.get("/healthz").status != 500',
            ),
            "red for another reason than 'assert 500 == 20'",
        ),
        ("http.broken", PROOF.replace("status == 200", "status == 404"), "not green without it"),
        ("http.unheard-of", PROOF, "never took effect; the claim was UNKNOWN"),
    ],
)
def test_what_is_no_kill_is_a_survivor_and_says_why(
    team: Callable[..., Team], saboteur: str, test: str, why: str
) -> None:
    ours = with_saboteurs(team(test), answers=[saboteur])

    ended = sabotaged(ours)

    assert ended.status == 1
    assert why in ended.out


def test_a_claim_without_a_test_is_a_survivor(team: Callable[..., Team]) -> None:
    ours = with_saboteurs(team(PROOF), answers=["http.broken"])
    ours.write("test_proof.py", MODE)

    ended = sabotaged(ours)

    assert (ended.status, rows(ours)["http.broken", "S00.answers"]["before"]) == (1, "UNKNOWN")


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (("--claim", "S00.nothing"), "no claim S00.nothing"),
        (("--saboteur", "http.idle"), "no such cell: http.idle"),
        (("-m", "S09"), "names a saboteur"),
        (("--jobs", "0"), "--jobs takes a number"),
    ],
)
def test_what_there_is_not_is_bad_input(
    team: Callable[..., Team], args: tuple[str, ...], why: str
) -> None:
    ours = with_saboteurs(team(PROOF), answers=["http.broken"])

    ended = sabotaged(ours, *args)

    assert ended.status == 3
    assert why in ended.err
    assert len(ended.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (("--spec11-scope", "signoff"), "a sabotaged run proves nothing: leave the scope out"),
        (("-n", "2"), "a sabotaged run has one process"),
    ],
)
def test_a_sabotaged_run_is_never_a_signoff(
    team: Callable[..., Team], args: tuple[str, ...], why: str
) -> None:
    ours = with_saboteurs(team(PROOF))

    ended = ours.run("--spec11-saboteur", "http.broken", *args)

    assert ended.status == 4
    assert why in ended.out + ended.err


def test_an_unknown_saboteur_ends_the_run_and_names_those_that_there_are(
    team: Callable[..., Team],
) -> None:
    ours = with_saboteurs(team(PROOF))

    ended = ours.run("--spec11-saboteur", "http.unheard-of")

    assert ended.status == 4
    assert "no saboteur http.unheard-of; there are: file.none, http.broken" in ended.err + ended.out


def test_only_the_tests_of_the_claims_that_were_asked_for_are_run(
    team: Callable[..., Team],
) -> None:
    ours = team(PROOF)

    assert "1 passed, 2 deselected" in ours.run("--spec11-claims", "S00.answers").out
    unknown = ours.run("--spec11-claims", "S00.answer")
    assert unknown.status == 4
    assert "no claim S00.answer in the catalogue" in unknown.out + unknown.err
