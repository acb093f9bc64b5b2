"""Under xdist: one target for all workers, a sealed journal of each, and nobody lost unseen."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.plugin.team import CONFTEST, Team

MANY = """
import os
import pytest

@pytest.mark.S00
@pytest.mark.claim("S00.answers")
@pytest.mark.parametrize("number", range(6))
def test_it_answers(api, number):
    assert api.get("/healthz").status == 200, number

@pytest.mark.S00
@pytest.mark.claim("S00.lives")
def test_it_lives(api, proc):
    assert api.get("/healthz").status == 200
    assert proc.alive("api")

@pytest.mark.S01
@pytest.mark.claim("S01.takes-orders")
def test_it_takes_orders(stacks):
    with stacks.start() as stack:
        assert stack.api.post("/orders", json=1).status == 201
"""
DIES = """
@pytest.mark.S01
@pytest.mark.claim("S01.takes-orders")
def test_it_dies(api):
    assert api.get("/healthz").status == 200
    {death}
"""
COUNTED = CONFTEST.replace('"system.py"', '"counted.py"')
COUNTER = "open('starts', 'a').write('.')\nexec(open('system.py').read())\n"


def test_workers_share_one_target_and_each_seals_its_journal(team: Callable[..., Team]) -> None:
    ours = team(MANY)
    ours.write("conftest.py", COUNTED)
    ours.write("counted.py", COUNTER)
    ours.write(".gitignore", "starts\n.spec11\n__pycache__\n")
    ours.commit()

    found = ours.prove("-n", "2")

    assert found.status == 0
    for role in ("controller", "gw0", "gw1"):
        assert ours.journal(role).sealed
    assert sorted(ours.records("workers")[0]["expected"]) == ["gw0", "gw1"]
    assert ours.gate().status == 0, ours.gate().out


@pytest.mark.parametrize("death", ["os._exit(0)", "os.kill(os.getpid(), 9)"])
def test_a_worker_that_dies_is_seen(death: str, team: Callable[..., Team]) -> None:
    ours = team(MANY + DIES.format(death=death))

    found = ours.run("-n", "2")

    lost = ours.records("workers")[0]["lost"]
    reasons = ours.reasons(scope="demo")
    assert found.status == 1
    assert len(lost) == 1
    assert "E-LOST" in reasons[lost[0]]
    assert any("test_it_dies" in str(each.get("crashed")) for each in ours.records("note"))
    assert reasons["S01.takes-orders"] == ["E-NOT-RUN"]
    assert reasons["test_proof.py::test_it_dies"] == ["E-CONSERVATION"]


def test_a_death_in_the_only_process_is_seen(team: Callable[..., Team]) -> None:
    ours = team(MANY + DIES.format(death="os._exit(0)"))

    found = ours.run()

    codes = {code for each in ours.reasons(scope="demo").values() for code in each}
    assert found.status == 0  # nothing of pytest was left to say otherwise
    assert {"E-UNSEALED", "E-CONSERVATION", "E-NOT-RUN"} <= codes


def test_a_journal_that_a_worker_never_sealed_is_seen(team: Callable[..., Team]) -> None:
    ours = team(MANY)
    ours.run("-n", "2")
    path = ours.bundle / "journal-gw1.ndjson"
    *lines, seal = path.read_bytes().splitlines(keepends=True)
    assert json.loads(seal)["kind"] == "seal"
    path.write_bytes(b"".join(lines))
    assert "E-UNSEALED" in ours.reasons(scope="demo")[f"{ours.bundle.name}/{path.name}"]
    path.unlink()
    assert "E-LOST" in ours.reasons(scope="demo")["gw1"]


def test_a_target_that_fails_is_told_to_every_worker(team: Callable[..., Team]) -> None:
    ours = team(MANY)
    ours.write("system.py", "raise SystemExit('cannot live like this')")
    found = ours.run("-n", "2")
    assert found.status == 1
    assert " 1 failed, 7 errors" in found.out
    assert "cannot live like this" in found.out
