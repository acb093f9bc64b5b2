"""S15: what a sign-off stands on is of this release, of late, and there; else it is no GO."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from pytest_spec11.oracles.files import Files
from pytest_spec11.stacks import Stack
from scenarios.support.faults import wrong_clock
from scenarios.support.release.forged_evidence import edit_signoff, rebound, sign_off
from scenarios.support.release.judges import Court, ask_board, ask_gate, ask_verifier
from scenarios.support.release.tampering import FORGED, HOUR_MS, JUDGED, SIGNED, SPOILT, later
from scenarios.support.release.throwaway_release import SPEC11, ThrowawayRelease, commit_tree

pytestmark = pytest.mark.S15

OF_TIME = {name for name in FORGED if FORGED[name][0] in {"E-STALE", "E-FUTURE", "E-TIME"}}
OF_TIME |= {"of no time"}
OF_BINDING = FORGED.keys() - OF_TIME
BINDINGS = {
    name: row for name, row in JUDGED.items() if name.startswith(("no ", "another ")) and
    row[0].split()[-1] in {"E-BINDING", "E-COMMIT", "E-TREE", "E-CATALOGUE", "E-POLICY"}
}  # fmt: skip


@pytest.fixture
def untold(court: Court) -> Iterator[str]:
    """The name of a board that nobody told what is to be released."""
    told = court.stack.begin(court.board("untold", SIGNOFF_COMMIT="", SIGNOFF_TREE=""))
    yield "untold"
    told.stop()


@pytest.mark.claim("S15.binding-required")
@pytest.mark.parametrize("name", sorted(OF_BINDING))
def test_what_is_of_another_build_is_refused_by_both_judges(
    court: Court, case: ThrowawayRelease, files: Files, name: str
) -> None:
    code, spoil = FORGED[name]
    spoil(case)

    gate, board = ask_gate(files, case), court.show(case)

    assert (gate.verdict, gate.status, gate.codes) == ("NO_GO", 1, {code})
    assert (board.verdict, board.codes) == ("NO_GO", {code})


@pytest.mark.claim("S15.binding-required")
@pytest.mark.parametrize("name", sorted(BINDINGS))
def test_what_is_bound_to_nothing_or_to_other_tools_is_refused(
    case: ThrowawayRelease, files: Files, name: str
) -> None:
    codes, spoil = BINDINGS[name]
    spoil(case)

    gate = ask_gate(files, case)

    assert (gate.verdict, gate.codes) == ("NO_GO", {*codes.split()})


@pytest.mark.claim("S15.binding-required")
def test_a_board_refuses_what_is_bound_to_nothing_and_what_nobody_told_it(
    court: Court, case: ThrowawayRelease, untold: str
) -> None:
    court.show(court.base)
    silent = ask_board(court.stack.api_at(untold))
    assert silent.about("E-BINDING") == {"commit", "tree"}
    assert (silent.verdict, silent.codes) == ("NO_GO", {"E-BINDING"})

    rebound(case, commit="", tree="", appVersion="")
    board = court.show(case)

    assert board.about("E-BINDING") == {"commit", "tree", "appVersion"}
    assert (board.verdict, board.codes) == ("NO_GO", {"E-BINDING"})


@pytest.mark.claim("S15.binding-required")
def test_a_tree_that_changed_after_the_run_is_refused(
    court: Court, tmp_path: Path, files: Files
) -> None:
    case = court.base.copy_to(tmp_path, tree=True)
    proc, system = court.stack.proc, case.tree / "system.py"
    assert proc.run([*SPEC11, *case.gate_words()]).code == 0
    whole = system.read_bytes()

    (case.tree / "added.py").write_text("")
    added = ask_gate(files, case)
    (case.tree / "added.py").unlink()
    system.write_bytes(whole + b" ")
    edited = ask_gate(files, case)
    commit_tree(proc, case.tree)
    done = proc.run([*SPEC11, *case.gate_words("--json")])

    assert (added.verdict, added.codes) == ("NO_GO", {"E-DIRTY", "E-TREE"})
    assert (edited.verdict, edited.codes) == ("NO_GO", {"E-DIRTY", "E-TREE"})
    codes = {each["code"] for each in json.loads(done.stdout)["reasons"]}
    assert (done.code, codes) == (1, {"E-COMMIT", "E-TREE"})


@pytest.mark.claim("S15.age-window")
@pytest.mark.parametrize("name", sorted(OF_TIME))
def test_what_is_not_of_the_last_day_is_refused_by_both_judges(
    court: Court, case: ThrowawayRelease, files: Files, name: str
) -> None:
    codes, spoil = FORGED[name]
    spoil(case)

    gate, board = ask_gate(files, case), court.show(case)

    assert (gate.verdict, gate.codes) == ("NO_GO", {*codes.split()})
    assert (board.verdict, board.of_files) == ("NO_GO", {codes.split()[-1]})
    assert board.about("E-TRIGGER") == {"trigger-freshness"}


@pytest.mark.claim("S15.age-window")
@pytest.mark.parametrize("by_ms", [-23 * HOUR_MS, 60_000])
def test_what_is_within_the_window_goes_and_the_board_says_of_when_it_is(
    court: Court, case: ThrowawayRelease, files: Files, by_ms: int
) -> None:
    newest = json.loads(case.signoff.read_bytes())["ts"]
    later(by_ms)(case)
    for path in case.release.rglob("*"):
        assert files.sha256(path) if path.is_file() else True

    gate, board = ask_gate(files, case), court.show(case)

    assert (gate.verdict, board.verdict) == ("GO", "GO")
    assert court.api.get("/api/ops/signoff").json()["ts"] == newest + by_ms


@pytest.mark.claim("S15.age-window")
def test_the_clock_is_that_of_the_database(court: Court, case: ThrowawayRelease) -> None:
    assert court.show(case).verdict == "GO"
    newest = court.api.get("/api/ops/signoff").json()["ts"]

    with two_days_ahead(court.stack):
        now_ms = court.stack.app_sql.value("SELECT app.millis(clock_timestamp())")
        said = ask_board(court.api)
        board = court.api.get("/api/ops/signoff").json()

    freshness = board["rollbackTriggers"][-1]
    assert now_ms - newest > 47 * HOUR_MS
    assert (said.verdict, said.of_files, board["ts"]) == ("NO_GO", {"E-STALE"}, newest)
    assert (freshness["id"], freshness["verdict"]) == ("trigger-freshness", "NO_GO")
    assert court.show(case).verdict == "GO"


@pytest.mark.claim("S15.age-window")
def test_the_clock_of_the_boards_own_process_changes_nothing(
    court: Court, case: ThrowawayRelease, tmp_path: Path
) -> None:
    process = court.board("behind").using(wrong_clock.set_clock_back(tmp_path / "clock", hours=48))
    behind = court.stack.begin(process)
    api = court.stack.api_at("behind")
    try:
        court.show(case)
        fresh, reply = ask_board(api), api.get("/api/ops/signoff")
        later(-25 * HOUR_MS)(case)
        stale = ask_board(api)
    finally:
        behind.stop()

    now_ms = court.stack.app_sql.value("SELECT app.millis(clock_timestamp())")
    its_ms = parsedate_to_datetime(reply.headers["date"]).timestamp() * 1000
    assert 47.9 * HOUR_MS < now_ms - its_ms < 48.1 * HOUR_MS
    assert (fresh.verdict, fresh.codes) == ("GO", set())
    assert (stale.verdict, stale.of_files) == ("NO_GO", {"E-STALE"})


@contextmanager
def two_days_ahead(stack: Stack) -> Iterator[None]:
    """The database's clock, as the engine reads it, is ahead; that of no process is."""
    made = stack.app_sql.value("SELECT pg_get_functiondef('app.millis'::regproc)")
    assert "1000" in made
    stack.admin.execute(made.replace("1000)", "1000 + 172800000)"))
    try:
        yield
    finally:
        stack.admin.execute(made)


@pytest.mark.claim("S15.refs-resolve")
@pytest.mark.parametrize("name", sorted(SPOILT))
def test_bytes_that_are_not_there_as_they_were_are_refused_by_name(
    court: Court, case: ThrowawayRelease, files: Files, name: str
) -> None:
    codes, spoil = SPOILT[name]
    code = codes.split()[0]
    spoil(case)

    gate, board = ask_gate(files, case), court.show(case)

    assert (gate.verdict, gate.codes) == ("NO_GO", {*codes.split()})
    assert (board.verdict, board.of_files) == ("NO_GO", {code})
    assert board.about("E-TRIGGER") == {"trigger-false-green"}
    for subject in board.about(code):
        assert {subject, *subject.split("/")} & gate.about(
            code
        )  # of a lane the gate names the tile
    assert ask_verifier(case).verdict == "NO_GO"


LOOKS = {name for name, row in SIGNED.items() if row[1] in {"E-REF", "E-EMPTY", "E-DIGEST"}}


@pytest.mark.claim("S15.refs-resolve")
@pytest.mark.parametrize("name", sorted(LOOKS - {"refers to itself"}))
def test_references_to_what_is_none_are_refused(
    court: Court, case: ThrowawayRelease, files: Files, name: str
) -> None:
    of_verifier, of_board, spoil = SIGNED[name]
    spoil(case)
    document = json.loads(files.read(case.signoff) or b"")
    ref = document["proofTiles"][2]["evidence"][0]["ref"]

    board = court.show(case)

    assert (board.verdict, board.of_files) == ("NO_GO", {of_board})
    assert board.about(of_board) == {ref}
    assert ask_verifier(case).codes == {of_verifier}


@pytest.mark.claim("S15.refs-resolve")
def test_a_directory_of_evidence_that_is_a_link_is_not_entered(
    court: Court, case: ThrowawayRelease, files: Files
) -> None:
    blobs = case.run / "blobs"
    blobs.rename(case.release.parent / "elsewhere")
    blobs.symlink_to(case.release.parent / "elsewhere")

    gate, board = ask_gate(files, case), court.show(case)

    assert (gate.verdict, gate.codes) == ("NO_GO", {"E-REF"})
    assert (board.verdict, board.of_files) == ("NO_GO", {"E-REF"})


@pytest.mark.claim("S15.swaps-and-replays")
@pytest.mark.parametrize("name", sorted(SIGNED.keys() - LOOKS))
def test_other_tiles_than_those_of_the_release_are_refused(
    court: Court, case: ThrowawayRelease, files: Files, name: str
) -> None:
    of_verifier, of_board, spoil = SIGNED[name]
    before = files.sha256(case.signoff)
    spoil(case)

    board = court.show(case)

    assert files.sha256(case.signoff) != before
    assert (board.verdict, board.of_files) == ("NO_GO", {of_board})
    assert ask_verifier(case).codes == {of_verifier}


REPLAYS = {
    "another release's lane": ("E-LANE-ORDER", JUDGED["lane of another release"][1]),
    "another lane's record": ("E-LANE-ORDER E-REF E-TILE", JUDGED["another lane's record"][1]),
    "the same run twice": ("E-DUPLICATE E-LOST E-REPLAY", JUDGED["the same run twice"][1]),
    "yesterday": ("E-STALE", FORGED["25 hours old"][1]),
    "another version": ("E-APPVERSION", FORGED["another version"][1]),
}


@pytest.mark.claim("S15.swaps-and-replays")
@pytest.mark.parametrize("name", sorted(REPLAYS))
def test_records_of_another_run_are_refused(
    court: Court, case: ThrowawayRelease, files: Files, name: str
) -> None:
    codes, spoil = REPLAYS[name]
    spoil(case)

    gate = ask_gate(files, case)
    case.gated_file.replace(case.signoff)
    board = court.show(case)

    assert (gate.verdict, gate.codes) == ("NO_GO", {*codes.split()})
    assert board.verdict == "NO_GO"
    assert gate.codes <= board.codes


@pytest.mark.claim("S15.planted-go")
def test_a_go_written_by_hand_over_red_records_is_refused(
    court: Court, case: ThrowawayRelease, files: Files
) -> None:
    JUDGED["failed"][1](case)
    sign_off(case)

    done = court.stack.proc.run([*SPEC11, "verify", str(case.release), "--json"])
    gate = ask_gate(files, case)

    assert (gate.verdict, gate.codes) == ("NO_GO", {"E-FAILED"})
    assert gate.about("E-FAILED") == {"S00.holds"}
    findings = {(each["code"], each["where"]) for each in json.loads(done.stdout)["findings"]}
    named = {
        ("E-JUDGES", "S00.holds"),
        ("E-FLAKY", "signoff.json"),
        ("E-FAILED", "test_rehearsal.py::test_s00"),
    }  # and green in no run of the tree
    assert (done.code, findings) == (1, named)


@pytest.mark.claim("S15.planted-go")
def test_a_go_tile_without_evidence_is_a_false_green_by_its_name(
    court: Court, case: ThrowawayRelease, files: Files
) -> None:
    edit_signoff(case, lambda made: made["proofTiles"][3].update(evidence=[]))
    document = json.loads(files.read(case.signoff) or b"")

    board = court.show(case)
    shown = court.api.get("/api/ops/signoff").json()

    assert (document["verdict"], document["proofTiles"][3]["verdict"]) == ("GO", "GO")
    assert (board.verdict, board.of_files) == ("NO_GO", {"E-TILE"})
    assert shown["proofTiles"][3]["reason"] == "missing signoff results"
    (why,) = (each["text"] for each in shown["reasons"] if each["code"] == "E-TILE")
    assert "proofTiles[3].evidence" in why
    assert shown["rollbackTriggers"][5]["id"] == "trigger-false-green"
    assert shown["rollbackTriggers"][5]["verdict"] == "NO_GO"


@pytest.mark.claim("S15.planted-go")
def test_evidence_that_refers_to_itself_is_refused(court: Court, case: ThrowawayRelease) -> None:
    of_verifier, of_board, spoil = SIGNED["refers to itself"]
    spoil(case)

    board = court.show(case)

    assert (board.verdict, board.of_files) == ("NO_GO", {of_board})
    assert board.about(of_board) == {"./signoff.json"}
    assert ask_verifier(case).codes == {of_verifier}


@pytest.mark.claim("S15.planted-go")
def test_a_journal_written_outside_of_a_run_is_refused(
    court: Court, case: ThrowawayRelease, files: Files
) -> None:
    planted = case.run / "journal-gw7.ndjson"
    planted.write_bytes(case.journal.read_bytes())

    gate, verifier = ask_gate(files, case), ask_verifier(case)

    assert (gate.verdict, gate.codes) == ("NO_GO", {"E-LOST", "E-DUPLICATE"})
    assert "E-REPLAY" in verifier.codes
    assert court.show(case).verdict == "GO"  # what nothing refers to is no evidence there


@pytest.mark.claim("S15.planted-go")
def test_no_command_takes_a_verdict(court: Court) -> None:
    words = [*SPEC11, "gate", str(court.base.run), "--verdict", "GO"]

    done = court.stack.proc.run(words)
    posted = court.api.post("/api/ops/signoff", json={"verdict": "GO"})

    assert (done.code, done.stdout) == (2, "")
    assert posted.status == 404
