"""S15: a weaker policy, a lane out of order and an oracle that nobody saw red are no GO."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pytest_spec11.oracles.files import Files
from scenarios.support.release.forged_evidence import reseal_document
from scenarios.support.release.judges import Court, ask_gate, ask_gate_process
from scenarios.support.release.tampering import JUDGED
from scenarios.support.release.throwaway_release import (
    LANES,
    SPEC11,
    ThrowawayRelease,
    commit_tree,
    run_lanes,
)

pytestmark = pytest.mark.S15

Change = Callable[[str], str]
LOOSER: dict[str, tuple[str, Change, str]] = {
    "a limit": (
        "spec11.toml",
        lambda text: text.replace("max = 500", "max = 5000"),
        "policy: max of wait_ms went from 500 to 5000",
    ),
    "a claim": (
        "spec11.toml",
        lambda text: text.replace('mandatory = ["S00.holds"]', ""),
        "policy: S00.holds is no longer asked for",
    ),
}


@pytest.mark.claim("S15.policy-sealed")
@pytest.mark.parametrize("name", sorted(LOOSER))
def test_a_policy_that_asks_for_less_than_it_did_at_the_run_is_refused_and_listed(
    court: Court, own: ThrowawayRelease, files: Files, name: str
) -> None:
    file, change, words = LOOSER[name]
    path = own.tree / file
    path.write_text(change(path.read_text()))
    commit_tree(court.stack.proc, own.tree)

    said = ask_gate(files, own)

    document = json.loads(own.gated_file.read_bytes())
    assert (said.verdict, said.codes) == ("NO_GO", {"E-POLICY", "E-COMMIT", "E-TREE"})
    assert len(document["weakenings"]) == 1
    assert words in document["weakenings"][0]


@pytest.mark.claim("S15.policy-sealed")
def test_a_claim_that_is_dropped_and_a_marker_that_moved_are_listed(
    court: Court, own: ThrowawayRelease, files: Files
) -> None:
    catalogue, tests = own.tree / "catalogue.json", own.tree / "test_rehearsal.py"
    document = json.loads(catalogue.read_bytes())
    document["scenarios"][9]["claims"][0]["mandatory"] = False
    catalogue.write_text(json.dumps(document))
    tests.write_text(tests.read_text().replace('claim("S05.holds")', 'claim("S06.holds")'))
    commit_tree(court.stack.proc, own.tree)

    said = ask_gate(files, own)

    document = json.loads(own.gated_file.read_bytes())
    assert said.verdict == "NO_GO"
    assert {"E-CATALOGUE", "E-TREE", "E-COMMIT"} <= said.codes
    assert document["weakenings"] == [
        "catalogue: S09.holds is no longer mandatory",
        'tests: claim("S05.holds") marks 1 fewer',
    ]


@pytest.mark.claim("S15.policy-sealed")
def test_a_marker_that_moved_during_the_run_is_refused(
    case: ThrowawayRelease, files: Files
) -> None:
    codes, spoil = JUDGED["markers moved"]
    spoil(case)

    said = ask_gate(files, case)

    assert codes == "E-POLICY"
    assert (said.verdict, said.codes) == ("NO_GO", {"E-POLICY"})


@pytest.mark.claim("S15.policy-sealed")
@pytest.mark.parametrize("line", ["[waivers]", '[release.waive]\nclaim = "S01.holds"'])
def test_a_policy_that_names_a_waiver_is_refused(
    court: Court, own: ThrowawayRelease, line: str
) -> None:
    with (own.tree / "spec11.toml").open("a", encoding="utf-8") as file:
        file.write(f"\n{line}\n")

    done = court.stack.proc.run([*SPEC11, *own.gate_words()])

    assert (done.code, done.stdout) == (3, "")
    assert "there are no waivers" in done.stderr


OF_LANES = [name for name in JUDGED if "lane" in name or name == "red under green"]


@pytest.mark.claim("S15.lanes-in-order")
@pytest.mark.parametrize("name", sorted(OF_LANES))
def test_a_lane_that_is_red_missing_or_out_of_order_is_refused(
    case: ThrowawayRelease, files: Files, name: str
) -> None:
    codes, spoil = JUDGED[name]
    spoil(case)

    said = ask_gate(files, case)

    assert (said.verdict, said.codes) == ("NO_GO", {*codes.split()})


@pytest.mark.claim("S15.lanes-in-order")
@pytest.mark.parametrize("lane", LANES)
def test_each_lane_is_asked_for(case: ThrowawayRelease, files: Files, lane: str) -> None:
    shutil.rmtree(case.lane(lane).parent)

    said = ask_gate(files, case)

    above = {"quick": {"pf-check"}, "check": {"pf-full"}}.get(lane, set())
    assert said.about("E-LANE") == {f"pf-{lane}"}
    assert said.about("E-LANE-ORDER") == above


@pytest.mark.claim("S15.lanes-in-order")
@pytest.mark.parametrize("gone", ["scan.py", "scanned"])
def test_the_policy_lane_is_red_without_its_scanner_or_what_it_scans(
    court: Court, own: ThrowawayRelease, files: Files, gone: str
) -> None:
    lost = own.tree / gone
    lost.rename(own.tree.parent / gone)
    commit_tree(court.stack.proc, own.tree)
    shutil.rmtree(own.lane("policy").parent)
    fresh = replace(own, release=own.release.rename(own.release.parent / "release-r3"))

    done = run_lanes(court.stack.proc, fresh, "policy")
    record: dict[str, Any] = json.loads(files.read(fresh.lane("policy")) or b"")
    said = ask_gate(files, fresh)

    assert done.code == 1
    assert record["exitCode"] != 0
    assert "pf-policy" in said.about("E-LANE")


@pytest.mark.claim("S15.lanes-in-order")
def test_a_lane_of_another_tree_is_no_evidence_of_this_one(
    court: Court, own: ThrowawayRelease, files: Files
) -> None:
    (own.tree / "added.py").write_text("")
    commit_tree(court.stack.proc, own.tree)

    said = ask_gate(files, own)

    assert (said.verdict, said.codes) == ("NO_GO", {"E-TREE", "E-COMMIT"})
    assert said.about("E-TREE") >= {f"pf-{lane}/lane-{lane}.json" for lane in LANES}


KILLS = ["no kill matrix", "kill without a hit", "survivor", "no benign twin"]


@pytest.mark.claim("S15.oracle-strength")
@pytest.mark.parametrize("name", KILLS)
def test_an_oracle_that_was_never_seen_red_is_refused(
    case: ThrowawayRelease, files: Files, name: str
) -> None:
    codes, spoil = JUDGED[name]
    spoil(case)

    said = ask_gate(files, case)

    assert codes == "E-WEAK-ORACLE"
    assert (said.verdict, said.codes) == ("NO_GO", {"E-WEAK-ORACLE"})


CELLS: dict[str, dict[str, Any]] = {
    "red before": {"before": "FAIL"},
    "red after": {"after": "FAIL"},
    "of another reason": {"reason": {"code": "E-ERROR", "text": "the server was down"}},
    "of no reason": {"expected": ""},
    "never tried": {"saboteur": "http.other"},
}


@pytest.mark.claim("S15.oracle-strength")
@pytest.mark.parametrize("name", sorted(CELLS))
def test_a_kill_counts_for_its_own_reason_between_two_greens(
    court: Court, case: ThrowawayRelease, name: str
) -> None:
    assert ask_gate_process(court.stack.proc, case).verdict == "GO"
    cells = json.loads(case.kills.read_bytes())["cells"]
    reseal_document(case.kills, "kills", cells=[{**cells[0], **CELLS[name]}, cells[1]])

    said = ask_gate_process(court.stack.proc, case)

    assert (said.status, said.codes) == (1, {"E-WEAK-ORACLE"})
    assert said.about("E-WEAK-ORACLE") == {"S00.holds"}
