"""A bundle that was signed off and left alone is GO; whatever is done to it is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from pytest_spec11.canon import canonical, digest
from pytest_spec11.cli import main
from pytest_spec11.errors import BadInput
from pytest_spec11.evidence import archive, journal, merkle
from pytest_spec11.verify import Report, hashing, verify
from tests.plugin.edits import survivors
from tests.plugin.judge.stand import RED, A, happy, shorter, strict, write_lane
from tests.plugin.releases import CELLS, Release

EDITS = 1000


@pytest.fixture
def released(tmp_path: Path) -> Release:
    """A release in a directory of its own, signed off."""
    made = Release(tmp_path / "bundle" / "r1")
    made.sign_off()
    return made


def codes(report: Report) -> set[str]:
    return {each.code for each in report.findings}


def test_what_was_left_alone_is_go(released: Release) -> None:
    report = verify(released.folder.parent)
    assert report.findings == ()
    assert (report.verdict, report.records) == ("GO", 11)
    assert report.root == json.loads(released.sign_off().read_text())["evidence"]["root"]


def test_one_file_in_another_place_is_as_good(released: Release, tmp_path: Path) -> None:
    out = tmp_path / "release.spec11"
    archive.export(out, [released.folder], released.sign_off(), None)
    assert verify(out).verdict == "GO"
    again = tmp_path / "again.spec11"
    archive.export(again, [released.folder], released.folder.parent / "signoff.json", None)
    assert out.read_bytes() == again.read_bytes()
    assert archive.unpack(out, tmp_path / "elsewhere") == ["r1"]
    assert verify(tmp_path / "elsewhere").verdict == "GO"
    with pytest.raises(BadInput, match="already exists"):
        archive.unpack(out, tmp_path / "elsewhere")


def test_a_run_that_nobody_signed_off_is_whole_and_no_go_nor_no_go(released: Release) -> None:
    report = verify(released.folder)
    assert (report.verdict, report.findings) == ("UNKNOWN", ())


def lines(it: Release) -> list[bytes]:
    return main_journal(it).read_bytes().splitlines(keepends=True)


def main_journal(it: Release) -> Path:
    return it.folder / "journal-main.ndjson"


def put(it: Release, changed: list[bytes]) -> None:
    main_journal(it).write_bytes(b"".join(changed))


def forge_records(it: Release, change: Callable[[list[dict[str, object]]], object]) -> None:
    """The journal with other records and a chain that fits them."""
    bodies = [json.loads(line) for line in lines(it)]
    change(bodies)
    prev, made = journal.ZERO, []
    for seq, body in enumerate(bodies):
        body |= {"seq": seq, "prev": prev}
        if body["kind"] == "seal":
            body["data"] = {**body["data"], "count": seq, "head": prev}
            body["data"].pop("sum")
            body["data"]["sum"] = digest(body)
        line = canonical(body) + b"\n"
        prev = sha256(line).hexdigest()
        made.append(line)
    put(it, made)


def seal_again(it: Release, **changes: object) -> None:
    """A sign-off with other contents and a sum that fits them."""
    path = it.folder.parent / "signoff.json"
    said = {**json.loads(path.read_text()), **changes}
    said.pop("sum")
    path.write_bytes(canonical({**said, "sum": digest(said)}) + b"\n")


def read_signoff(it: Release) -> dict[str, list[dict[str, object]]]:
    found: dict[str, list[dict[str, object]]] = json.loads(
        (it.folder.parent / "signoff.json").read_text()
    )
    return found


def swapped_tiles(it: Release) -> None:
    tiles = read_signoff(it)["proofTiles"]
    seal_again(it, proofTiles=[tiles[1], tiles[0], *tiles[2:]])


def renamed_tile(it: Release) -> None:
    tiles = read_signoff(it)["proofTiles"]
    seal_again(it, proofTiles=[{**tiles[0], "id": "proof-s9"}, *tiles[1:]])


def green_by_hand(it: Release) -> None:
    """A red release whose sign-off is written anew, as GO."""
    it.lane("policy", exitCode=1)
    it.sign_off()
    green = [{**tile, "verdict": "GO", "reason": ""} for tile in read_signoff(it)["pfTiles"]]
    seal_again(it, verdict="GO", reasons=[], pfTiles=green)


def weak_by_hand(it: Release) -> None:
    it.kills(*CELLS[1:])
    it.sign_off()
    green = [
        {**tile, "verdict": "GO", "reason": ""} if tile["id"] == "proof-strength" else tile
        for tile in read_signoff(it)["proofTiles"]
    ]
    seal_again(it, verdict="GO", reasons=[], proofTiles=green)


def left_out_by_hand(it: Release, *tests: tuple[str, int]) -> None:
    """No run has a test of the tree, and the sign-off says GO."""
    main_journal(it).unlink()
    listed = [{"place": place, "line": line} for place, line in tests]
    it.stand.entries[0][1]["defined"] = listed
    it.stand.write(it.folder)
    claim_go(it)


def never_red_by_hand(it: Release) -> None:
    """No mutant turned a claim red, and the sign-off is written anew, as GO."""
    it.mutants(*RED[:2])
    claim_go(it)


def red_elsewhere_by_hand(it: Release) -> None:
    """The test that was red is that of another claim."""
    it.mutants(*RED[:2], {**RED[2], "node": A})
    claim_go(it)


def claim_go(it: Release) -> None:
    it.sign_off()
    green = [
        {**tile, "verdict": "GO", "reason": ""} if tile["claims"] else tile
        for tile in read_signoff(it)["proofTiles"]
    ]
    claims = {**read_signoff(it)["claims"], "S1.b": "PASS"}  # type: ignore[dict-item]  # a table of words
    seal_again(it, verdict="GO", reasons=[], claims=claims, proofTiles=green)


def failed_by_hand(it: Release, **outcome: object) -> None:
    """The test failed, and the sign-off says that it passed."""
    main_journal(it).unlink()
    it.stand.entries[7][1].update(outcome or {"outcome": "failed"})
    it.stand.write(it.folder)
    claim_go(it)


def replay_journal(it: Release) -> None:
    """The journal of another run, whole in itself, in the place of this one's."""
    other = happy(strict())
    other.run, other.bound, other.posture = "r0", it.stand.bound, it.stand.posture
    other.write(it.folder.parent / "other")
    (it.folder.parent / "other" / "journal-main.ndjson").replace(main_journal(it))
    shutil.rmtree(it.folder.parent / "other")


def replace_by_link(path: Path) -> None:
    """The path is a link to what it was."""
    path.symlink_to(path.rename(path.parent.parent.parent / "elsewhere"))


def blob(it: Release) -> Path:
    name = sha256(b"seen").hexdigest()
    return it.folder / "blobs" / name[:2] / name


DAMAGES: dict[str, tuple[str, Callable[[Release], object]]] = {
    "edited": ("E-CHAIN", lambda it: put(it, [*lines(it)[:3], b"{}\n", *lines(it)[4:]])),
    "edited letter": (
        "E-CHAIN",
        lambda it: put(it, [each.replace(b"x == y", b"x == z") for each in lines(it)]),
    ),
    "removed": ("E-CHAIN", lambda it: put(it, lines(it)[:4] + lines(it)[5:])),
    "reordered": ("E-CHAIN", lambda it: put(it, [lines(it)[0], *reversed(lines(it)[1:])])),
    "doubled": ("E-CHAIN", lambda it: put(it, [*lines(it)[:4], *lines(it)[3:]])),
    "cut": ("E-UNSEALED", lambda it: put(it, lines(it)[:-1])),
    "torn": ("E-TRUNCATED", lambda it: put(it, [*lines(it)[:-1], lines(it)[-1][:-1]])),
    "removed and chained anew": (
        "E-DIGEST",
        lambda it: forge_records(it, lambda them: them.pop(2)),
    ),
    "edited and chained anew": (
        "E-DIGEST",
        lambda it: forge_records(it, lambda them: them[1].update(at=1)),
    ),
    "journal gone": ("E-REF", lambda it: main_journal(it).unlink()),
    "journal of another run": ("E-REPLAY", replay_journal),
    "journal beside": (
        "E-REPLAY",
        lambda it: shutil.copy(main_journal(it), it.folder / "journal-gw0.ndjson"),
    ),
    "blob gone": ("E-REF", lambda it: blob(it).unlink()),
    "blob edited": ("E-DIGEST", lambda it: blob(it).write_bytes(b"sean")),
    "blob empty": ("E-DIGEST", lambda it: blob(it).write_bytes(b"")),
    "blob linked": ("E-REF", lambda it: replace_by_link(blob(it))),
    "lane gone": ("E-REF", lambda it: (it.folder / "lane-quick.json").unlink()),
    "lane edited": (
        "E-DIGEST",
        lambda it: write_lane(it.folder, "quick", it.stand.bound, exitCode=0),
    ),
    "kills without their last byte": ("E-DIGEST", lambda it: shorter(it.folder / "kills.json")),
    "kills gone": ("E-REF", lambda it: (it.folder / "kills.json").unlink()),
    "sign-off of random bytes": (
        "E-DIGEST",
        lambda it: (it.folder.parent / "signoff.json").write_bytes(b"\x00\xff"),
    ),
    "sign-off of another shape": ("E-DIGEST", lambda it: seal_again(it, verdict="AMBER")),
    "tiles exchanged": ("E-TILE", swapped_tiles),
    "tile renamed": ("E-TILE", renamed_tile),
    "tile without reference": ("E-DIGEST", lambda it: seal_again(it, pfTiles=drop_evidence(it))),
    "reference to other bytes": (
        "E-DIGEST",
        lambda it: seal_again(it, pfTiles=change_reference(it)),
    ),
    "reference to nothing": (
        "E-REF",
        lambda it: seal_again(it, pfTiles=change_reference(it, ref="r1/x")),
    ),
    "green lane by hand": ("E-LANE", green_by_hand),
    "killed by hand": ("E-WEAK-ORACLE", weak_by_hand),
    "seen red by hand": ("E-WEAK-ORACLE", never_red_by_hand),
    "seen red by another test": ("E-WEAK-ORACLE", red_elsewhere_by_hand),
    "proven by hand": ("E-JUDGES", failed_by_hand),
    "better than seen": ("E-JUDGES", lambda it: failed_by_hand(it, witness={"call": "failed"})),
    "never seen to run": ("E-JUDGES", lambda it: failed_by_hand(it, witness={})),
    "left out": ("E-NOT-COLLECTED", lambda it: left_out_by_hand(it, ("t.py::c", 1))),
    "took another's place": (
        "E-NOT-COLLECTED",
        lambda it: left_out_by_hand(it, ("t.py::test_b", 1), ("t.py::test_b", 5)),
    ),
    "red without a claim": (
        "E-FAILED",
        lambda it: failed_by_hand(it, witness={"call": "failed"}),
    ),
    "judged too late": ("E-STALE", lambda it: seal_again(it, judgedAt=2**52)),
    "judged too early": ("E-FUTURE", lambda it: seal_again(it, judgedAt=1)),
    "of another tree": (
        "E-TREE",
        lambda it: seal_again(it, binding={**it.stand.bound, "tree": "y"}),
    ),
    "of another version": (
        "E-APPVERSION",
        lambda it: seal_again(it, binding={**it.stand.bound, "appVersion": "y"}),
    ),
    "of uncommitted files": (
        "E-DIRTY",
        lambda it: seal_again(it, binding={**it.stand.bound, "dirty": True}),
    ),
    "by no catalogue": (
        "E-CATALOGUE",
        lambda it: seal_again(it, binding={**it.stand.bound, "catalogue": "0" * 64}),
    ),
    "with a shard missing": ("E-SHARD", lambda it: seal_again(it, shards=["one"])),
}


def drop_evidence(it: Release) -> list[dict[str, object]]:
    first, *others = read_signoff(it)["pfTiles"]
    return [{**first, "evidence": []}, *others]


def change_reference(it: Release, **changes: object) -> list[dict[str, object]]:
    first, *others = read_signoff(it)["pfTiles"]
    ref = {**first["evidence"][0], "sha256": "0" * 64, **changes}  # type: ignore[index]  # a list
    return [{**first, "evidence": [ref]}, *others]


@pytest.mark.parametrize("name", DAMAGES)
def test_each_damage_is_named(name: str, released: Release) -> None:
    code, damage = DAMAGES[name]
    damage(released)
    report = verify(released.folder.parent)
    assert report.verdict == "NO_GO"
    assert code in codes(report)
    assert all(each.where and each.text for each in report.findings)


def test_the_record_that_was_changed_is_named(released: Release) -> None:
    them = lines(released)
    put(released, [*them[:5], them[5].replace(b'"attempt":1', b'"attempt":2'), *them[6:]])
    first = verify(released.folder.parent).findings[0]
    assert first.where == "r1/journal-main.ndjson record 6"
    assert first.text == "the record before, 5, is not the one it followed"


def test_every_byte_of_the_sign_off_counts(released: Release) -> None:
    path = released.folder.parent / "signoff.json"
    whole = path.read_bytes()
    for place in range(0, len(whole), 61):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert verify(released.folder.parent).verdict == "NO_GO", place


def test_every_byte_of_a_journal_counts(released: Release) -> None:
    whole = main_journal(released).read_bytes()
    for place in range(0, len(whole), 61):
        flipped = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
        main_journal(released).write_bytes(flipped)
        assert verify(released.folder.parent).verdict == "NO_GO", place


def test_a_thousand_random_edits_are_a_thousand_detected(released: Release) -> None:
    assert survivors(released.folder.parent, EDITS) == []
    assert verify(released.folder.parent).verdict == "GO"


GARBAGE = {
    "empty": b"",
    "random": bytes(range(256)) * 64,
    "zip head": b"PK\x03\x04" + b"\x00" * 200,
    "zip tail": b"PK\x05\x06" + b"\xff" * 18,
    "json": b"{}",
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_is_bad_input(name: str, tmp_path: Path) -> None:
    path = tmp_path / "garbage"
    path.write_bytes(GARBAGE[name])
    assert main(["verify", str(path)]) == 3
    assert main(["verify", str(tmp_path / "nowhere")]) == 3
    assert main(["verify", str(tmp_path)]) == 3
    assert main(["import", str(path), "--dir", str(tmp_path / "in")]) == 3
    assert not (tmp_path / "in").exists()


def test_two_trees_over_the_same_leaves_have_one_root() -> None:
    """The two implementations, and RFC 6962 as it is written, for every small size."""

    def of(leaves: list[bytes]) -> bytes:
        if len(leaves) == 1:
            return sha256(b"\0" + leaves[0]).digest()
        split = 1 << (len(leaves) - 1).bit_length() - 1
        return sha256(b"\1" + of(leaves[:split]) + of(leaves[split:])).digest()

    for size in range(1, 70):
        leaves = [bytes([number]) for number in range(size)]
        assert merkle.root(leaves) == hashing.Tree(leaves).root == of(leaves).hex()
    assert merkle.root([]) == hashing.Tree().root == sha256(b"").hexdigest()
