"""S15: two judges that share nothing come to the same; and no edit of a byte comes to GO."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from pytest_spec11 import verify
from pytest_spec11.errors import BadInput
from pytest_spec11.evidence import bundle
from pytest_spec11.judge import Terms, judge
from pytest_spec11.oracles.files import Files
from pytest_spec11.requirements.policy import load
from pytest_spec11.run import Run
from scenarios.support.contract.seeded_random import Dice
from scenarios.support.release.judges import Court, Said, ask_gate, ask_verifier
from scenarios.support.release.tampering import FORGED, JUDGED, SPOILT, Tamper, flip
from scenarios.support.release.throwaway_release import SPEC11, ThrowawayRelease

pytestmark = pytest.mark.S15

TAMPERED: dict[str, Tamper] = {
    name: row[-1] for table in (FORGED, SPOILT, JUDGED) for name, row in table.items()
}
EDITS = 1000  # the gate judges each, verifier and board look at some
VERIFIED = 200
BOARDS = 50
BYTES = 150


def gate_and_keep(files: Files, case: ThrowawayRelease) -> Said:
    """What the gate says now, and its sign-off is the one that lies there."""
    said = ask_gate(files, case)
    case.gated_file.replace(case.signoff)
    return said


@pytest.mark.claim("S15.two-judges-agree")
def test_two_judges_say_the_same_of_every_tampered_release(
    court: Court, files: Files, tmp_path: Path
) -> None:
    clean = court.base.copy_to(tmp_path / "clean")
    assert (gate_and_keep(files, clean).verdict, court.show(clean).verdict) == ("GO", "GO")

    differ, refused = {}, 0
    for number, (name, spoil) in enumerate(TAMPERED.items()):
        case = court.base.copy_to(tmp_path / str(number))
        spoil(case)
        gate, board = gate_and_keep(files, case), court.show(case)
        refused += gate.verdict == board.verdict == "NO_GO"
        if gate.codes != board.of_files:
            differ[name] = (gate.codes ^ board.of_files, gate.codes)

    assert differ == {}
    assert refused == len(TAMPERED) >= 60


@pytest.mark.claim("S15.two-judges-agree")
def test_a_sign_off_that_the_records_do_not_bear_out_is_a_difference_between_judges(
    court: Court, files: Files, tmp_path: Path
) -> None:
    case = court.base.copy_to(tmp_path)
    JUDGED["failed"][1](case)
    gate_and_keep(files, case)
    document = json.loads(case.signoff.read_bytes())
    assert document["claims"]["S00.holds"] == "FAIL"

    case.signoff.write_bytes(court.base.signoff.read_bytes())
    done = court.stack.proc.run([*SPEC11, "verify", str(case.release), "--json"])

    report = json.loads(done.stdout)
    assert (done.code, report["verdict"]) == (1, "NO_GO")
    codes = {(each["code"], each["where"]) for each in report["findings"]}
    assert ("E-JUDGES", "S00.holds") in codes
    assert "E-DIGEST" in court.show(case).codes


Edit = Callable[[Dice, list[bytes]], list[bytes]]


def flip_bit(dice: Dice, lines: list[bytes]) -> list[bytes]:
    at = dice.below(len(lines))
    line = bytearray(lines[at])
    line[dice.below(len(line))] ^= 1 << dice.below(8)
    return [*lines[:at], bytes(line), *lines[at + 1 :]]


def remove_line(dice: Dice, lines: list[bytes]) -> list[bytes]:
    at = dice.below(len(lines))
    return [*lines[:at], *lines[at + 1 :]]


def double_line(dice: Dice, lines: list[bytes]) -> list[bytes]:
    at = dice.below(len(lines))
    return [*lines[:at], lines[at], *lines[at:]]


def exchange_lines(dice: Dice, lines: list[bytes]) -> list[bytes]:
    at = dice.below(len(lines) - 1)
    return [*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]]


def cut_off(dice: Dice, lines: list[bytes]) -> list[bytes]:
    whole = b"".join(lines)
    return [whole[: dice.below(len(whole))]]


def insert_noise(dice: Dice, lines: list[bytes]) -> list[bytes]:
    at = dice.below(len(lines))
    noise = bytes(dice.below(256) for _ in range(1 + dice.below(40)))
    return [*lines[:at], noise, *lines[at:]]


EVERYWHERE: tuple[Edit, ...] = (flip_bit, cut_off, insert_noise)
OF_LINES: tuple[Edit, ...] = (remove_line, double_line, exchange_lines)


def spoil_bytes(dice: Dice, whole: bytes, among: Sequence[Edit]) -> tuple[str, bytes]:
    """The name of one of the edits, and what it makes of the bytes."""
    edit = dice.pick(among)
    return edit.__name__, b"".join(edit(dice, whole.splitlines(keepends=True)))


@pytest.mark.claim("S15.bundle-edits")
def test_no_random_edit_of_the_evidence_is_ever_go(
    court: Court, files: Files, tmp_path: Path, spec11_run: Run
) -> None:
    case, dice = court.base.copy_to(tmp_path), Dice(f"edits of {spec11_run.id}")
    targets = [case.journal, *(path for path in case.release.glob("*/*.json")), *case.blobs]
    terms = Terms(
        now_ms=json.loads(case.signoff.read_bytes())["judgedAt"], here=case.here, scope="signoff",
        policy=load(case.tree),
    )  # fmt: skip
    parts = {folder: bundle.load([folder]) for folder in case.bundles}
    assert judge(case.catalogue, bundle.merge([*parts.values()]), terms).verdict == "GO"
    words: Counter[str] = Counter()
    missed: list[tuple[int, str, str]] = []
    for number in range(EDITS):
        path = targets[0] if dice.once_in(2) else dice.pick(targets)
        whole = path.read_bytes()
        edit, edited = spoil_bytes(
            dice, whole, EVERYWHERE + (OF_LINES if path == case.journal else ())
        )
        if edited == whole:
            continue
        path.write_bytes(edited)
        folder = next(each for each in parts if path.is_relative_to(each))
        seen = bundle.merge([*{**parts, folder: bundle.load([folder])}.values()])
        verdict = judge(case.catalogue, seen, terms).verdict
        words[f"gate {verdict}"] += 1
        if verdict == "GO":
            missed.append((number, edit, str(path.relative_to(case.release))))
        if number % (EDITS // VERIFIED) == 0:
            words[f"verifier {verify.verify(case.release).verdict}"] += 1
        if number % (EDITS // BOARDS) == 0:
            words[f"board {court.show(case).verdict}"] += 1
        path.write_bytes(whole)

    assert files.sha256(case.journal) == files.sha256(court.base.journal)
    assert missed == []
    assert words.keys() == {"gate NO_GO", "verifier NO_GO", "board NO_GO"}
    assert words["gate NO_GO"] > EDITS * 0.9
    assert words["verifier NO_GO"] > VERIFIED * 0.9
    assert words["board NO_GO"] > BOARDS * 0.8


@pytest.mark.claim("S15.bundle-edits")
def test_no_byte_of_the_sign_off_can_be_another(
    court: Court, files: Files, tmp_path: Path, spec11_run: Run
) -> None:
    case, dice = court.base.copy_to(tmp_path), Dice(f"bytes of {spec11_run.id}")
    whole = files.read(case.signoff) or b""
    assert court.show(case).verdict == "GO"
    words: Counter[str] = Counter()

    for number in range(BYTES):
        flip(case.signoff, dice.below(len(whole)))
        words[f"verifier {verify.verify(case.release).verdict}"] += 1
        if number % (BYTES // BOARDS) == 0:
            words[f"board {court.show(case).verdict}"] += 1
        case.signoff.write_bytes(whole)

    assert words.keys() == {"verifier NO_GO", "board NO_GO"}
    assert (words["verifier NO_GO"], words["board NO_GO"] > BOARDS * 0.8) == (BYTES, True)


@pytest.mark.claim("S15.bundle-edits")
def test_every_byte_of_the_sign_off_is_under_its_seal(
    court: Court, files: Files, tmp_path: Path, spec11_run: Run
) -> None:
    case, dice = court.base.copy_to(tmp_path), Dice(f"every byte of {spec11_run.id}")
    whole = files.read(case.signoff) or b""
    small = tmp_path / "small"
    (small / "run").mkdir(parents=True)
    (small / "run" / case.journal.name).touch()  # evidence that is quick to look at
    (small / "signoff.json").write_bytes(whole)
    assert not has_broken_seal(small)

    held = []
    with (small / "signoff.json").open("r+b", buffering=0) as file:
        for place, byte in enumerate(whole):
            os.pwrite(file.fileno(), bytes([byte ^ 1 << dice.below(8)]), place)
            if not has_broken_seal(small):
                held.append(place)
            os.pwrite(file.fileno(), bytes([byte]), place)

    assert len(whole) > 10_000
    assert held == []
    assert files.sha256(small / "signoff.json") == files.sha256(case.signoff)


def has_broken_seal(folder: Path) -> bool:
    """Whether the verifier takes the sign-off there for one that was changed."""
    findings = verify.verify(folder).findings
    return ("E-DIGEST", "signoff.json") in {(each.code, each.where) for each in findings}


def bomb() -> bytes:
    """An archive whose one member is far larger than its bytes."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("run/journal-main.ndjson", bytes(64 << 20))
    return made.getvalue()


GARBAGE: dict[str, Callable[[], bytes]] = {
    "bomb": bomb,
    "noise": lambda: bytes(range(256)) * 40,
    "nothing": lambda: b"",
    "nesting": lambda: b"[" * 1_000_000,
}


@pytest.mark.claim("S15.bundle-edits")
@pytest.mark.parametrize("name", sorted(GARBAGE))
def test_garbage_is_no_bundle_and_no_sign_off(
    court: Court, files: Files, tmp_path: Path, name: str
) -> None:
    case = court.base.copy_to(tmp_path)
    made = tmp_path / "garbage"
    made.write_bytes(GARBAGE[name]())
    case.signoff.write_bytes(made.read_bytes())

    proc = court.stack.proc
    codes = [proc.run([*SPEC11, word, str(made)]).code for word in ("gate", "verify")]
    board = court.show(case)

    assert codes == [3, 3]
    assert (board.verdict, board.of_files) == ("NO_GO", {"E-TILE"})
    assert files.sha256(case.signoff) is not None
    assert ask_verifier(case).verdict == "NO_GO"
    with pytest.raises(BadInput):
        verify.verify(made)
