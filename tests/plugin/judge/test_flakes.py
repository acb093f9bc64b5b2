"""A test that was red in any kept run of this tree is not proven by a run in which it is green."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_spec11.canon import canonical, digest
from pytest_spec11.cli import main
from pytest_spec11.evidence import archive
from pytest_spec11.evidence.kept_runs import KeptRun, Red
from pytest_spec11.judge import judge
from pytest_spec11.verify import Report, verify
from tests.plugin.judge.stand import (
    A,
    B,
    Change,
    Stand,
    adding,
    both,
    collection_entry,
    happy,
    instead,
    lines_of,
    observation_entry,
    outcome_entry,
    rewrite,
    setting,
    strict,
    without,
)
from tests.plugin.releases import Release

END_OF_B = 7
PHASES = {"setup": "passed", "call": "failed", "teardown": "passed"}
BROKEN_OFF = {"setup": "passed", "teardown": "passed"}  # no call: something ended the run
VOID = {"code": "E-THREAD", "text": "a thread raised"}


@pytest.fixture(scope="module")
def dead_pid() -> int:
    """The number of a process that is no more."""
    with subprocess.Popen((sys.executable, "-c", "")) as process:  # our own interpreter
        process.wait()
    return process.pid


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return Release(tmp_path / "evidence" / "r1")


def keep(release: Release, change: Change, name: str = "r0") -> Path:
    """Another run of the same tree, next to the one that is judged."""
    stand = happy(strict())
    stand.bound, stand.run = dict(release.stand.bound), name
    change(stand)
    return stand.write(release.folder.parent / name)


def codes(release: Release) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for each in release.verdict().reasons:
        found.setdefault(each.subject, set()).add(each.code)
    return found


REDS: dict[str, Change] = {
    "failed": instead(END_OF_B, outcome_entry(B, "failed", phases=PHASES)),
    "broke down": instead(END_OF_B, outcome_entry(B, "error", phases={"setup": "failed"})),
    "not to be believed": instead(END_OF_B, outcome_entry(B, "failed", voids=[VOID])),
    "failed, then run again": both(
        instead(END_OF_B, outcome_entry(B, "failed", phases=PHASES)),
        adding(outcome_entry(B, attempt=2)),
    ),
    "failed in a demo": both(
        instead(END_OF_B, outcome_entry(B, "failed", phases=PHASES)),
        lambda stand: stand.bound.update(scope="demo"),
    ),
    "ended without its call": instead(END_OF_B, outcome_entry(B, "error", phases=BROKEN_OFF)),
    "failed before Ctrl-C": both(
        instead(END_OF_B, outcome_entry(B, "failed", phases=PHASES)), setting(exit_status=2)
    ),
    "its worker died": both(without(END_OF_B), adding(("note", {"crashed": B}))),
}


@pytest.mark.parametrize("name", REDS)
def test_what_was_red_in_a_kept_run_is_no_go(name: str, release: Release) -> None:
    keep(release, REDS[name])
    (found,) = release.verdict().reasons
    assert (found.code, found.subject) == ("E-FLAKY", "S1.b")
    assert "red in 1 of 2 kept runs of this tree" in found.text
    assert found.command == f"spec11 flakes {release.folder.parent / 'r0'}"
    assert release.verdict().claims["S1.b"] == "UNKNOWN"
    assert release.document()["kept"]["green"] == 1
    assert release.document()["kept"]["runs"] == 2


DEATHS: dict[str, Change] = {
    "after an observation": without(END_OF_B),
    "before any": without(5, 6, END_OF_B),
}


@pytest.mark.parametrize("name", DEATHS)
def test_the_test_whose_process_died_was_red(name: str, release: Release, dead_pid: int) -> None:
    keep(release, both(DEATHS[name], setting(sealed=False, pid=dead_pid)))
    assert codes(release) == {"S1.b": {"E-FLAKY"}}
    assert "last crashed in r0" in release.verdict().reasons[0].text


def copy_gated(release: Release) -> None:
    shutil.copytree(release.folder, release.folder.parent / "r0")


TWINS: dict[str, Change] = {
    "green": setting(),
    "skipped": instead(END_OF_B, outcome_entry(B, "skipped")),
    "of another tree": both(REDS["failed"], lambda stand: stand.bound.update(tree="y")),
    "sabotaged": both(REDS["failed"], setting(more={"saboteurs": ["http.lie"]})),
    "broken off by Ctrl-C": both(
        instead(END_OF_B, outcome_entry(B, "error", phases=BROKEN_OFF)), setting(exit_status=2)
    ),
    "never reached": both(without(5, 6, END_OF_B), setting(exit_status=2)),
    "still under way": both(without(END_OF_B), setting(sealed=False, pid=os.getpid())),
    "red only for what nobody asks for": adding(
        collection_entry([("t.py::c", ["S1.k"])]),
        outcome_entry("t.py::c", "failed", claims=["S1.k"]),
    ),
}


@pytest.mark.parametrize("name", TWINS)
def test_its_honest_twin_stays_go(name: str, release: Release) -> None:
    keep(release, TWINS[name])
    assert codes(release) == {}
    tally = release.document()["kept"]
    assert tally["runs"] == tally["green"] >= 1


def test_the_same_run_twice_is_one_run(release: Release) -> None:
    copy_gated(release)
    assert codes(release) == {}
    assert release.document()["kept"] == {"runs": 1, "green": 1, "looked": []}


def test_a_red_run_that_was_moved_away_is_missed_in_the_count(release: Release) -> None:
    keep(release, setting(), "r2")
    gone = keep(release, REDS["failed"])
    assert release.document()["kept"]["runs"] == 3
    shutil.rmtree(gone)
    assert codes(release) == {}
    assert release.document()["kept"]["runs"] == 2


def test_runs_around_a_release_directory_and_in_the_work_tree_are_found(tmp_path: Path) -> None:
    around = Release(tmp_path / "evidence" / "release-1" / "r1")
    apart = Release(tmp_path / "apart" / "r1")
    stand = happy(strict())
    stand.bound = dict(around.stand.bound)
    REDS["failed"](stand)
    stand.write(tmp_path / "evidence" / "r0")
    stand.write(apart.folder / ".spec11" / "release-0" / "r0")
    assert codes(around) == codes(apart) == {"S1.b": {"E-FLAKY"}}


DAMAGES: dict[str, Callable[[list[bytes]], bytes]] = {
    "a record is gone": lambda lines: b"".join(lines[:3] + lines[4:]),
    "a word was changed": lambda lines: b"".join(lines).replace(b'"passed"', b'"failed"', 1),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_kept_run_that_was_changed_is_named_and_blocks(name: str, release: Release) -> None:
    keep(release, rewrite(lambda content: DAMAGES[name](lines_of(content))))
    assert codes(release)["r0"] == {"E-FLAKY"}
    assert set[str]().union(*codes(release).values()) == {"E-FLAKY"}


def test_a_kept_run_of_nobody_knows_which_tree_is_named(
    release: Release, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = keep(release, rewrite(lambda content: b"\0" + content))
    (looked,) = release.document()["kept"]["looked"]
    assert (looked["ref"], looked["damage"]) == ("r0", "its tree cannot be read")
    assert codes(release) == {}
    assert main(["flakes", str(folder), "--tree", "x"]) == 1
    assert "r0: its tree cannot be read" in capsys.readouterr().out


NODES = [A, B, "t.py::other"]
KEPT = st.builds(
    lambda name, reds, green, damage: KeptRun(
        Path(name), (), frozenset(green), {node: Red(node, "failed", "") for node in reds}, damage
    ),
    st.sampled_from(["k1", "k2"]),
    st.sets(st.sampled_from(NODES)),
    st.sets(st.sampled_from(NODES)),
    st.sampled_from(["", "", "line 3 is not JSON"]),
)
SPOILS: list[Change] = [setting(), without(6), REDS["failed"], REDS["failed, then run again"]]


@settings(max_examples=150)
@given(st.sampled_from(SPOILS), st.lists(KEPT, max_size=3), st.lists(KEPT, max_size=3))
def test_no_kept_run_ever_helps(spoil: Change, less: list[KeptRun], more: list[KeptRun]) -> None:
    stand: Stand = happy(strict())
    spoil(stand)
    evidence = stand.in_memory([observation_entry(A, "api")])
    asked = (stand.claims, evidence, stand.terms)
    before, after = judge(*asked, tuple(less)), judge(*asked, tuple(less + more))
    proven = {key for key, value in after.claims.items() if value == "PASS"}
    assert proven <= {key for key, value in before.claims.items() if value == "PASS"}
    subjects = {(each.code, each.subject) for each in before.reasons}
    assert subjects <= {(each.code, each.subject) for each in after.reasons}


# What the verifier finds out again.
def verify_release(release: Release) -> Report:
    release.sign_off()
    return verify(release.folder.parent)


def find_codes(report: Report) -> set[str]:
    return {each.code for each in report.findings}


def test_the_verifier_agrees_on_a_green_and_on_a_red_kept_run(release: Release) -> None:
    keep(release, setting(), "r2")
    report = verify_release(release)
    assert (report.verdict, report.findings) == ("GO", ())
    assert (report.kept_green, report.kept_runs) == (2, 2)
    keep(release, REDS["failed"])
    report = verify_release(release)
    assert (report.verdict, report.findings) == ("NO_GO", ())


def test_kept_runs_travel_with_a_release_or_stay_at_home(release: Release, tmp_path: Path) -> None:
    kept = keep(release, setting(), "r2")
    signoff, out = release.sign_off(), tmp_path / "out.spec11"
    for runs in ([release.folder], [release.folder, kept]):
        archive.export(out, runs, signoff, None)
        assert (verify(out).verdict, verify(out).kept_runs) == ("GO", 2)


def forge(release: Release, change: Callable[[dict[str, Any]], object]) -> Report:
    """The report on a sign-off with something else in it, and a sum that fits."""
    path = release.sign_off()
    document = json.loads(path.read_bytes())
    del document["sum"]
    change(document)
    path.write_bytes(canonical({**document, "sum": digest(document)}) + b"\n")
    return verify(release.folder.parent)


def say_go(document: dict[str, Any]) -> None:
    document.update(verdict="GO", reasons=[])
    document["claims"]["S1.b"] = "PASS"
    for tile in document["proofTiles"]:
        if tile["claims"]:
            tile.update(verdict="GO", reason="")


def hide_red(document: dict[str, Any]) -> None:
    say_go(document)
    document["kept"] |= {"green": document["kept"]["runs"]}
    for each in document["kept"]["looked"]:
        each["red"] = []


def forget_runs(document: dict[str, Any]) -> None:
    say_go(document)
    document["kept"] = {"runs": 1, "green": 1, "looked": []}


@pytest.mark.parametrize(
    ("lie", "codes_of_it"),
    [(say_go, {"E-FLAKY"}), (hide_red, {"E-FLAKY", "E-JUDGES"}), (forget_runs, {"E-REPLAY"})],
    ids=["GO all the same", "the red was taken out", "the run was taken out"],
)
def test_a_sign_off_that_lies_of_its_kept_runs_is_named(
    lie: Callable[[dict[str, Any]], None], codes_of_it: set[str], release: Release
) -> None:
    keep(release, REDS["failed"])
    report = forge(release, lie)
    assert report.verdict == "NO_GO"
    assert codes_of_it <= find_codes(report), report.findings


def test_a_kept_run_that_was_changed_after_the_gate_is_named(release: Release) -> None:
    folder = keep(release, setting())
    release.sign_off()
    path = folder / "journal-main.ndjson"
    path.write_bytes(path.read_bytes().replace(b'"passed"', b'"failed"', 1))
    assert {"E-DIGEST", "E-FLAKY"} <= find_codes(verify(release.folder.parent))


# The command.
def test_the_list_of_flakes(release: Release, capsys: pytest.CaptureFixture[str]) -> None:
    place = str(release.folder.parent)
    assert main(["flakes", place, "--tree", "x"]) == 0
    keep(
        release, instead(END_OF_B, outcome_entry(B, "failed", phases=PHASES, message="500 == 200"))
    )
    capsys.readouterr()
    assert main(["flakes", place, "--tree", "x"]) == 1
    said = capsys.readouterr().out
    assert f"red in 1 of 2 runs  {B}" in said
    assert "500 == 200" in said
    assert "1 of 2 tests were red in 2 kept runs of tree x" in said
    assert main(["flakes", place, "--tree", "x", "--json"]) == 1
    rows = json.loads(capsys.readouterr().out)["tests"]
    assert [(each["node"], each["runs"], each["reds"]) for each in rows] == [(B, 2, 1), (A, 2, 0)]
    assert rows[0]["last_red"] == str(release.folder.parent / "r0")
    assert main(["flakes", place, "--tree", "another"]) == 0
    assert main(["flakes", str(release.folder.parent / "nowhere")]) == 3
