"""S15: an untouched release is GO, and nothing less is."""

from __future__ import annotations

import json
from hashlib import sha256

import pytest

from pytest_spec11.oracles.files import Files
from scenarios.support.release.judges import BOARD, Court, ask_board, ask_verifier
from scenarios.support.release.throwaway_release import CLAIMS, LANES, PROOFS, SPEC11

pytestmark = pytest.mark.S15

RUNS = "SELECT count(*) FROM app.runs"
WORKFLOWS = "SELECT count(*) FROM dbos.workflow_status"


@pytest.mark.claim("S15.clean-bundle-goes")
def test_an_untouched_release_is_go_to_gate_verifier_and_board(court: Court, files: Files) -> None:
    stack, base = court.stack, court.base
    out = base.release.parent / "again.json"

    gate = stack.proc.run([*SPEC11, *base.gate_words("--out", str(out))])
    verifier = stack.proc.run([*SPEC11, "verify", str(base.release)])
    said = court.show(base)

    document = json.loads(files.read(out) or b"")
    codes = {each["code"] for each in document["reasons"]}
    assert (codes, ask_verifier(base).codes, said.codes) == (set(), set(), set())
    assert (gate.code, verifier.code) == (0, 0)
    assert (document["verdict"], document["reasons"], document["rehearsal"]) == ("GO", [], True)
    assert document["claims"] == dict.fromkeys(CLAIMS, "PASS")
    assert (said.verdict, said.reasons) == ("GO", ())
    assert "GO of a rehearsal" in verifier.stdout
    assert (stack.app_sql.value(RUNS), stack.sys_sql.value(WORKFLOWS)) == (0, 0)


@pytest.mark.claim("S15.clean-bundle-goes")
def test_every_tile_refers_to_bytes_that_are_there(court: Court, files: Files) -> None:
    board = court.api.get(BOARD).json()
    document = json.loads(files.read(court.base.signoff) or b"")

    tiles = document["pfTiles"] + document["proofTiles"]
    assert [tile["id"] for tile in tiles] == [*(f"pf-{lane}" for lane in LANES), *PROOFS]
    for tile in tiles:
        assert (tile["verdict"], tile["reason"]) == ("GO", "")
        assert tile["evidence"]
        for ref in tile["evidence"]:
            content = files.read(court.base.release / ref["ref"])
            assert content
            assert sha256(content).hexdigest() == ref["sha256"]
    shown = board["pfTiles"] + board["proofTiles"] + board["rollbackTriggers"]
    assert {tile["verdict"] for tile in shown} == {"GO"}
    assert [tile["id"] for tile in shown[:32]] == [tile["id"] for tile in tiles]
    assert ask_board(court.api).verdict == "GO"
