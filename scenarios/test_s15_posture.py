"""S15: how the engine runs, and a database that cannot be read, take a GO back."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_spec11.oracles.files import Files
from pytest_spec11.waiting import eventually
from scenarios.support.faults.outages import refusing
from scenarios.support.release.forged_evidence import Line, rewritten
from scenarios.support.release.judges import BOARD, Court, Said, ask_board, ask_gate, point
from scenarios.support.release.throwaway_release import (
    SPEC11,
    ThrowawayRelease,
    commit_tree,
    write_tree,
)

pytestmark = pytest.mark.S15

SIGNED = {"CLAIM_SCOPE": "signoff"}
SMOKE = {"CLAIM_SCOPE": "live-smoke"}
POSTURES = {
    "demo": ({"CLAIM_SCOPE": "demo"}, "claim_scope_demo"),
    "lenient": (SIGNED | {"OC_STRICT_MODE": "0"}, "oc_strict_mode_required"),
    "smoke": (SMOKE, "oc_mode_replay; sbx_mode_mock"),
    "lenient-smoke": (
        SMOKE | {"OC_STRICT_MODE": "0"},
        "oc_strict_mode_required; oc_mode_replay; sbx_mode_mock",
    ),
    "parents": (SIGNED | {"INTENT_QUEUE_PARTITION": "false"}, "queue_partition_off"),
    "children": (SIGNED | {"SBX_QUEUE_PARTITION": "false"}, "queue_partition_off"),
}


@pytest.mark.claim("S15.posture-rules")
@pytest.mark.claim("S15.triggers-flip")
@pytest.mark.parametrize("name", sorted(POSTURES))
def test_a_way_to_run_that_proves_nothing_is_no_go_though_all_is_green(
    live: Court, name: str
) -> None:
    env, words = POSTURES[name]
    point(live.shown, live.base.release)

    posed = live.stack.begin(live.board(name, **env))
    said, board = ask_board(live.stack.api_at(name)), live.stack.api_at(name).get(BOARD).json()
    given = live.stack.proc.environ(name)
    posed.stop()

    scope = set() if env["CLAIM_SCOPE"] == "signoff" else {"E-SCOPE"}
    assert (said.verdict, said.codes) == ("NO_GO", {"E-TRIGGER", *scope})
    assert said.about("E-TRIGGER") == {"trigger-posture"}
    assert board["rollbackTriggers"][0]["reason"] == words
    assert {name: given[name] for name in env} == env
    assert ask_board(live.api).verdict == "GO"


GATED = {
    "ocStrictMode": "oc_strict_mode_required",
    "queuePartition": "queue_partition_off",
}


@pytest.mark.claim("S15.posture-rules")
@pytest.mark.parametrize("key", sorted(GATED))
def test_the_gate_refuses_what_ran_otherwise(live: Court, case: ThrowawayRelease, key: str) -> None:
    def change_posture(found: list[Line]) -> list[Line]:
        found[0]["data"]["posture"][key] = "false"
        return found

    rewritten(case.journal, change_posture)
    done = live.stack.proc.run([*SPEC11, *case.gate_words("--json")])

    codes = [each["code"] for each in json.loads(done.stdout)["reasons"]]
    assert (done.code, codes) == (1, [GATED[key]])


@pytest.mark.claim("S15.posture-rules")
def test_the_gate_refuses_a_demo_and_a_smoke_that_is_not_live(
    case: ThrowawayRelease, files: Files
) -> None:
    demo, smoke = ask_gate(files, case, "demo"), ask_gate(files, case, "live-smoke")

    assert (demo.verdict, demo.codes) == ("NO_GO", {"claim_scope_demo", "E-SCOPE"})
    assert (smoke.verdict, smoke.codes) == ("NO_GO", {"oc_mode_replay", "E-SCOPE"})


TAKEN = "REVOKE SELECT ON {} FROM spec11"
GIVEN = "GRANT SELECT ON {} TO spec11"
OF_BOARD = """
@pytest.mark.S00
@pytest.mark.claim("S00.holds")
def test_board(api, files):
    assert api.get("/api/ops/signoff").status == 200
    assert files.read(ROOT / "system.py")
"""


@pytest.mark.claim("S15.db-down-never-go")
@pytest.mark.parametrize("table", ["app.runs", "dbos.workflow_status"])
def test_a_board_that_may_not_look_says_nothing(live: Court, table: str) -> None:
    assert live.show(live.base).verdict == "GO"
    live.stack.admin.execute(TAKEN.format(table))
    try:
        answer = live.api.get(BOARD)
    finally:
        live.stack.admin.execute(GIVEN.format(table))

    assert answer.status == 500
    assert b'"GO"' not in answer.body
    assert live.show(live.base).verdict == "GO"


@pytest.mark.claim("S15.db-down-never-go")
def test_without_a_database_the_board_is_500_and_the_gate_no_go_though_a_go_lies_there(
    live: Court, tmp_path: Path, app_version: str
) -> None:
    tree, proc = tmp_path / "tree", live.stack.proc
    write_tree(tree, app_version, OF_BOARD)
    commit_tree(proc, tree)
    case = replace(live.base, tree=tree, release=tmp_path / "release-r2")
    case.release.mkdir()
    case.signoff.write_bytes(live.base.signoff.read_bytes())
    (url,) = re.findall(r"listening on (\S+)", live.stack.process("board").output())
    run = ["pytest", "-q", f"--rootdir={tree}", f"-c{tree / 'pyproject.toml'}", f"{tree}"]
    run += [f"--spec11-base-url={url}", "--spec11-scope=signoff"]
    run += [f"--spec11-app-version={app_version}", f"--spec11-dir={case.release}"]

    with refusing(live.stack):
        answer = live.api.get(BOARD)
        proc.run([*SPEC11[:2], *run], env=live.stack.fill_process("api").env)
    gate = proc.run([*SPEC11, *case.gate_words("--out", str(case.signoff))])

    assert (answer.status, b'"GO"' in answer.body) == (500, False)
    assert gate.code == 1
    document = json.loads(case.signoff.read_bytes())
    said = Said(document["verdict"], tuple((e["code"], e["subject"]) for e in document["reasons"]))
    assert (said.verdict, said.about("E-FAILED")) == ("NO_GO", {"S00.holds"})
    again = eventually(lambda: live.api.get(BOARD).status, deadline_s=30, until=lambda s: s == 200)
    assert (again, live.show(live.base).verdict) == (200, "GO")
