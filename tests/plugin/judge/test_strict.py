"""What a catalogue may ask for besides claims: lanes in their order, kills, a posture."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from pytest_spec11.errors import BadInput
from pytest_spec11.evidence import documents
from pytest_spec11.evidence.schemas import fault
from tests.plugin.judge.stand import RED, A, shorter, write_kills, write_lane
from tests.plugin.releases import CELLS, LANES, NAME, Release, times


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return Release(tmp_path / "r1")


def test_all_that_is_asked_for_is_go(release: Release) -> None:
    assert release.verdict().reasons == ()


Spoil = Callable[[Release], object]
# A row of a claim that was seen red, and what must not be true of it.
WEAK_ROWS: dict[str, dict[str, Any]] = {
    "no mutant killed": {"killed": 0},
    "more killed than tried": {"killed": 4},
    "at no time": {"redAt": 0},
    "never green again": {"greenAt": 0},
    "by the test of another claim": {"node": A},
    "by no test": {"node": ""},
    "through another source": {"source": "sql:app"},
}


def weaken(it: Release, changes: dict[str, Any]) -> None:
    """The claim of test b was seen red, but for one thing."""
    it.mutants(*RED[:2], {**RED[2], **changes})


SPOILS: dict[str, tuple[str, Spoil]] = {
    "lane missing": ("E-LANE", lambda it: (it.folder / "lane-policy.json").unlink()),
    "lane red": ("E-LANE", lambda it: it.lane("policy", exitCode=3)),
    "step red": (
        "E-LANE",
        lambda it: it.lane(
            "policy", steps=[{**times(it.stand.now_ms, 3)["steps"][0], "exitCode": 1}]
        ),
    ),
    "lane edited": (
        "E-DIGEST",
        lambda it: edit(it.folder / "lane-policy.json", b'"exitCode":0', b'"exitCode":1'),
    ),
    "lane of other bytes": ("E-DIGEST", lambda it: (it.folder / "lane-policy.json").write_text("")),
    "lanes exchanged": ("E-TILE", lambda it: exchange(it.folder, "lane-policy", "lane-quick")),
    "lane of another tree": ("E-TREE", lambda it: write_lane(it.folder, "policy", {"tree": "y"})),
    "lane of yesterday": ("E-STALE", lambda it: it.lane("policy", startedAt=1)),
    "lane of tomorrow": (
        "E-FUTURE",
        lambda it: it.lane("policy", finishedAt=it.stand.now_ms + 200_000),
    ),
    "lane backwards": ("E-TIME", lambda it: it.lane("policy", finishedAt=it.stand.now_ms - 20_000)),
    "log gone": ("E-REF", lambda it: log_of(it).unlink()),
    "log edited": ("E-DIGEST", lambda it: log_of(it).write_bytes(b"all is weak\n")),
    "red below": ("E-LANE-ORDER", lambda it: it.lane("quick", exitCode=1)),
    "missing below": ("E-LANE-ORDER", lambda it: (it.folder / "lane-check.json").unlink()),
    "below ended later": (
        "E-LANE-ORDER",
        lambda it: it.lane("quick", **times(it.stand.now_ms, 2)),
    ),
    "below of another release": ("E-LANE-ORDER", lambda it: it.lane("check", release="second")),
    "no kills": ("E-WEAK-ORACLE", lambda it: (it.folder / "kills.json").unlink()),
    "kills edited": (
        "E-DIGEST",
        lambda it: edit(it.folder / "kills.json", b'"hits":3', b'"hits":4'),
    ),
    "kills without their last byte": ("E-DIGEST", lambda it: shorter(it.folder / "kills.json")),
    "a lane without its last byte": (
        "E-DIGEST",
        lambda it: shorter(it.folder / "lane-policy.json"),
    ),
    "a cell missing": ("E-WEAK-ORACLE", lambda it: it.kills(*CELLS[1:])),
    "no twin": ("E-WEAK-ORACLE", lambda it: it.kills(*CELLS[:-1])),
    "a survivor": ("E-WEAK-ORACLE", lambda it: it.kills(*CELLS, {**CELLS[0], "during": "PASS"})),
    "unknown is no kill": (
        "E-WEAK-ORACLE",
        lambda it: it.kills({**CELLS[0], "during": "UNKNOWN"}, *CELLS[1:]),
    ),
    "never hit": ("E-WEAK-ORACLE", lambda it: it.kills({**CELLS[0], "hits": 0}, *CELLS[1:])),
    "red before": (
        "E-WEAK-ORACLE",
        lambda it: it.kills({**CELLS[0], "before": "FAIL"}, *CELLS[1:]),
    ),
    "red after": ("E-WEAK-ORACLE", lambda it: it.kills({**CELLS[0], "after": "FAIL"}, *CELLS[1:])),
    "another reason": (
        "E-WEAK-ORACLE",
        lambda it: it.kills({**CELLS[0], "expected": "401 == 200"}, *CELLS[1:]),
    ),
    "no reason expected": (
        "E-WEAK-ORACLE",
        lambda it: it.kills({**CELLS[0], "expected": ""}, *CELLS[1:]),
    ),
    "no reason": ("E-WEAK-ORACLE", lambda it: it.kills({**CELLS[0], "reason": None}, *CELLS[1:])),
    "a twin that kills": (
        "E-WEAK-ORACLE",
        lambda it: it.kills(*CELLS[:-1], {**CELLS[-1], "during": "FAIL"}),
    ),
    "an idle twin": ("E-WEAK-ORACLE", lambda it: it.kills(*CELLS[:-1], {**CELLS[-1], "hits": 0})),
    "kills of another tree": (
        "E-TREE",
        lambda it: write_kills(it.folder, CELLS, it.stand.bound | {"tree": "y"}),
    ),
    "no mutants": (
        "E-WEAK-ORACLE",
        lambda it: write_kills(it.folder, CELLS, it.stand.bound, mutation=None),
    ),
    "a source never red": ("E-WEAK-ORACLE", lambda it: it.mutants(RED[0], RED[2])),
    "a claim never red": ("E-WEAK-ORACLE", lambda it: it.mutants(*RED[:2])),
    **{
        f"red, but {name}": ("E-WEAK-ORACLE", partial(weaken, changes=changes))
        for name, changes in WEAK_ROWS.items()
    },
    "posture not stated": ("queue_partition_off", lambda it: set_posture(it, {"oc": "live"})),
    "posture of another mode": (
        "oc_mode_replay",
        lambda it: set_posture(it, {"strict": "true", "oc": "replay"}),
    ),
}


def edit(path: Path, old: bytes, new: bytes) -> None:
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, 1))


def exchange(folder: Path, one: str, other: str) -> None:
    first, second = folder / f"{one}.json", folder / f"{other}.json"
    kept = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(kept)


def log_of(it: Release) -> Path:
    return it.folder / "blobs" / NAME[:2] / NAME


def set_posture(it: Release, posture: dict[str, str]) -> None:
    (it.folder / "journal-main.ndjson").unlink()
    it.stand.posture = posture
    it.stand.write(it.folder)


@pytest.mark.parametrize("name", SPOILS)
def test_each_spoil_has_its_code_and_a_way_out(name: str, release: Release) -> None:
    code, spoil = SPOILS[name]
    spoil(release)
    found = release.verdict()
    assert found.verdict == "NO_GO"
    assert code in {each.code for each in found.reasons}
    assert all(each.remedy and each.command for each in found.reasons)


@pytest.mark.parametrize("name", ["nothing", *SPOILS])
def test_a_sign_off_fits_its_schema_and_never_shows_a_green_tile_for_nothing(
    name: str, release: Release, tmp_path: Path
) -> None:
    _, spoil = SPOILS.get(name, ("", lambda _: None))
    spoil(release)
    said = release.document()
    documents.write(tmp_path / "signoff.json", "signoff", said)
    again = documents.read(tmp_path / "signoff.json", "signoff")
    assert again.damage == ""
    assert said["verdict"] == ("GO" if name == "nothing" else "NO_GO")
    for tile in [*said["pfTiles"], *said["proofTiles"]]:
        assert (tile["verdict"] == "GO") == (tile["reason"] == "")
        assert tile["verdict"] == "NO_GO" or tile["evidence"]


def test_tiles_say_what_they_stand_on(release: Release) -> None:
    said = release.document()
    assert [tile["id"] for tile in said["pfTiles"]] == [f"pf-{lane}" for lane in LANES]
    assert [tile["verdict"] for tile in said["pfTiles"]] == ["GO"] * 4
    assert [(tile["id"], tile["verdict"]) for tile in said["proofTiles"]] == [
        ("proof-s1", "GO"),
        ("proof-s2", "NO_GO"),
        ("proof-strength", "GO"),
    ]
    assert said["notClaimed"] == ["S1.k", "S2.live"]
    kinds = [ref["kind"] for ref in said["proofTiles"][2]["evidence"]]
    assert kinds == ["journal", "kills"]
    for ref in [ref for tile in said["proofTiles"] for ref in tile["evidence"]]:
        content = (release.folder.parent / ref["ref"]).read_bytes()
        assert sha256(content).hexdigest() == ref["sha256"]


def test_a_spoilt_part_turns_its_tile_and_leaves_the_others(release: Release) -> None:
    release.lane("policy", exitCode=1)
    release.kills(*CELLS[1:])
    said = release.document()
    assert [tile["verdict"] for tile in said["pfTiles"]] == ["GO", "GO", "GO", "NO_GO"]
    assert said["pfTiles"][3]["reason"] == "E-LANE pf-policy: ended with status 1"
    assert [tile["verdict"] for tile in said["proofTiles"]] == ["GO", "NO_GO", "NO_GO"]
    assert said["proofTiles"][2]["reason"] == "E-WEAK-ORACLE S1.a: http.lie was not tried"


def test_a_document_of_another_shape_is_never_written(release: Release, tmp_path: Path) -> None:
    said = release.document()
    changes: list[dict[str, Any]] = [
        {"verdict": "AMBER"},
        {"extra": 1},
        {"claims": {}},
        {"reasons": [{}]},
    ]
    for change in changes:
        assert fault("signoff", {**said, "sum": "0" * 64, **change})
        with pytest.raises(BadInput):
            documents.write(tmp_path / "no.json", "signoff", {**said, **change})
    assert list(tmp_path.glob("*.json*")) == []
