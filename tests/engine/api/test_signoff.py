"""The board over real files and a real database: each look judges anew."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.core.signoff import PF_TILES, PROOF_TILES
from tests.engine.shim_process import Shim, running_shim
from tests.engine.signoffs import COMMIT, PROVOKED, TREE, whole, write

TRIGGERS = [
    "posture",
    "budget",
    "x1-drift",
    "fresh-failures",
    "divergence",
    "false-green",
    "freshness",
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def shim(clone: Callable[[], str], root: Path) -> Iterator[Shim]:
    told = {
        "SPEC11_SIGNOFF_DIR": str(root), "SIGNOFF_COMMIT": COMMIT, "SIGNOFF_TREE": TREE,
        "CLAIM_SCOPE": "signoff",
    }  # fmt: skip
    with running_shim(clone(), **told) as running:
        yield running


def board(shim: Shim) -> dict[str, Any]:
    answer = shim.http.get("/api/ops/signoff")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def codes(shim: Shim) -> set[str]:
    return {each["code"] for each in board(shim)["reasons"]}


def trigger(shim: Shim, name: str) -> dict[str, Any]:
    [found] = [tile for tile in board(shim)["rollbackTriggers"] if tile["id"] == f"trigger-{name}"]
    return dict(found)


def test_without_a_sign_off_every_tile_is_red_and_says_so(shim: Shim) -> None:
    found = board(shim)

    assert found["verdict"] == "NO_GO"
    assert tuple(tile["id"] for tile in found["pfTiles"]) == PF_TILES
    assert tuple(tile["id"] for tile in found["proofTiles"]) == PROOF_TILES
    tiles = found["pfTiles"] + found["proofTiles"]
    assert {(t["verdict"], t["reason"], t["ts"]) for t in tiles} == {
        ("NO_GO", "missing signoff results", 0)
    }
    assert "E-NO-EVIDENCE" in {each["code"] for each in found["reasons"]}
    assert [t["id"] for t in found["rollbackTriggers"]] == [f"trigger-{n}" for n in TRIGGERS]


def test_a_whole_sign_off_on_a_quiet_database_is_go(shim: Shim, root: Path) -> None:
    document = whole(root)
    write(root, document)

    found = board(shim)

    assert found["reasons"] == []
    assert found["verdict"] == "GO"
    assert found["ts"] == document["ts"]
    assert found["posture"]["claimScope"] == "signoff"
    assert all(tile["evidenceRefs"] for tile in found["pfTiles"] + found["proofTiles"])


def test_one_byte_of_the_file_or_of_its_evidence_is_enough(shim: Shim, root: Path) -> None:
    write(root, whole(root))
    file, journal = root / "signoff.json", root / "run/journal-main.ndjson"
    content, line = file.read_bytes(), journal.read_bytes()
    assert codes(shim) == set()

    file.write_bytes(content.replace(b'"GO"', b'"G0"', 1))
    assert "E-TILE" in codes(shim)
    file.write_bytes(content + b" ")
    assert "E-TILE" in codes(shim)
    file.write_bytes(b"[" * 100_000)
    assert "E-TILE" in codes(shim)
    file.write_bytes(content)
    journal.write_bytes(line.replace(b"passed", b"Passed", 1))
    assert "E-DIGEST" in codes(shim)
    assert trigger(shim, "false-green")["verdict"] == "NO_GO"
    journal.unlink()
    assert "E-REF" in codes(shim)


def test_a_red_tile_under_a_green_verdict_is_red(shim: Shim, root: Path) -> None:
    document = whole(root)
    document["proofTiles"][3].update(verdict="NO_GO", reason="E-FAILED S01.x: broke")
    write(root, document)

    found = board(shim)

    assert found["verdict"] == "NO_GO"
    assert {"code": "E-TILE", "subject": "proof-x1-audit", "text": "E-FAILED S01.x: broke"} in (
        found["reasons"]
    )


FAILS = "UPDATE app.runs SET status = 'retries_exceeded', workflow_id = %s WHERE workflow_id = %s"
ENGINE = "UPDATE dbos.workflow_status SET status = %s, updated_at = 0 WHERE workflow_uuid = %s"
AGO = "UPDATE app.runs SET updated_at = now() - make_interval(secs => %s) WHERE execution_id = %s"


def test_failures_count_until_a_test_that_passed_declares_them(shim: Shim, root: Path) -> None:
    write(root, whole(root))
    wids = [shim.start(f"fails {number}").json()["workflowID"] for number in range(3)]
    names = [f"{PROVOKED}_passed", f"{PROVOKED}_failed", wids[2]]
    for wid, name in zip(wids, names, strict=True):
        shim.run(FAILS, name, wid)
        shim.run(ENGINE, "ERROR", wid)

    assert trigger(shim, "fresh-failures")["reason"] == f"2 failed runs: {names[2]}, {names[1]}"
    for wid in wids:
        shim.run(AGO, 86_401, wid)
    assert board(shim)["verdict"] == "GO"


@pytest.mark.parametrize(("app", "engine"), [("succeeded", "ERROR"), ("failed", "SUCCESS")])
def test_a_divergence_is_red_after_the_grace(shim: Shim, root: Path, app: str, engine: str) -> None:
    write(root, whole(root))
    wid = shim.start(f"apart {app}").json()["workflowID"]
    shim.run("UPDATE app.runs SET status = %s WHERE workflow_id = %s", app, wid)
    shim.run(ENGINE, engine, wid)
    assert trigger(shim, "divergence")["verdict"] == "GO"

    shim.run(AGO, 11, wid)
    assert trigger(shim, "divergence")["reason"] == f"1 divergent runs: {wid}"

    shim.run(AGO, 86_401, wid)
    assert trigger(shim, "divergence")["verdict"] == "GO"


def test_budgets_and_doubles_are_counted(shim: Shim, root: Path) -> None:
    write(root, whole(root))
    wid = shim.start("doubled").json()["workflowID"]
    shim.run(
        "INSERT INTO app.artifacts (run_id, step_id, idx, kind, uri, inline, sha256)"
        " SELECT id, 'BUDGET', 0, 'json_diagnostic', 'x', '{}', repeat('0', 64)"
        " FROM app.runs WHERE workflow_id = %s",
        wid,
    )
    shim.run(
        "INSERT INTO app.mock_receipts (receipt_key, run_id, step_id, execution_id, payload_hash,"
        " seen_count) SELECT 'k', id, 's', 'e', 'h', 2 FROM app.runs WHERE workflow_id = %s",
        wid,
    )

    assert trigger(shim, "budget")["reason"] == f"1 budget violations: {wid} (unreadable)"
    assert trigger(shim, "x1-drift")["reason"] == f"1 doubled side effects: {wid}"
    assert board(shim)["verdict"] == "NO_GO"


def test_the_schema_is_the_gate_s() -> None:
    ours = Path("engine/contracts/signoff.schema.json").read_bytes()

    assert json.loads(ours)["$id"] == "urn:spec11:schema:signoff:1"
