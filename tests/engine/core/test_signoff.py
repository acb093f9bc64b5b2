from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.core import signoff
from engine.core.signoff import MAX_AGE_MS, NOTHING, SKEW_MS, Release, Sight
from tests.engine.signoffs import COMMIT, TREE, whole

RELEASE = Release(commit=COMMIT, tree=TREE, app_version="v1", scope="signoff")
NOW = time.time_ns() // 1_000_000
Spoil = Callable[[dict[str, Any]], Any]


@pytest.fixture
def document(tmp_path: Path) -> dict[str, Any]:
    return whole(tmp_path, now_ms=NOW)


def sights(document: dict[str, Any]) -> dict[str, Sight]:
    return {ref["ref"]: Sight(ref["sha256"], 9) for ref in signoff.references(document)}


def codes(document: dict[str, Any], release: Release = RELEASE, now: int = NOW) -> set[str]:
    found = signoff.faults(document, release, now, sights(document))
    assert all(each.subject and each.text for each in found)
    return {each.code for each in found}


def test_nothing_speaks_against_a_whole_sign_off(document: dict[str, Any]) -> None:
    assert codes(document) == set()


@pytest.mark.parametrize(
    ("release", "code"),
    [
        ({"commit": None}, "E-BINDING"),
        ({"tree": ""}, "E-BINDING"),
        ({"commit": "d" * 40}, "E-COMMIT"),
        ({"tree": "8" * 64}, "E-TREE"),
        ({"app_version": "v2"}, "E-APPVERSION"),
        ({"scope": "live-smoke"}, "E-SCOPE"),
    ],
)
def test_another_release(document: dict[str, Any], release: dict[str, Any], code: str) -> None:
    assert codes(document, replace(RELEASE, **release)) == {code}


def of(**change: Any) -> Spoil:
    """Changes the first tile."""
    return lambda document: document["pfTiles"][0].update(**change)


SPOILT: dict[str, tuple[Spoil, str]] = {
    "no commit bound": (lambda d: d["binding"].update(commit=""), "E-BINDING"),
    "dirty": (lambda d: d["binding"].update(dirty=True), "E-DIRTY"),
    "reversed": (lambda d: d["proofTiles"].reverse(), "E-TILE"),
    "one less": (lambda d: d["proofTiles"].pop(), "E-TILE"),
    "one twice": (lambda d: d["pfTiles"].append(d["pfTiles"][0]), "E-TILE"),
    "refers to nothing": (of(evidence=[]), "E-REF"),
    "another commit": (of(commit="d" * 40), "E-COMMIT"),
    "no tree": (of(tree=""), "E-TREE"),
    "another version": (of(appVersion="v0"), "E-APPVERSION"),
    "no beginning": (of(startedAt=0), "E-TIME"),
    "ends before it begins": (of(startedAt=NOW, ts=NOW - 1), "E-TIME"),
    "of tomorrow": (of(ts=NOW + SKEW_MS + 1), "E-FUTURE"),
    "of yesterday": (of(startedAt=NOW - MAX_AGE_MS - 1), "E-STALE"),
    "a journal of tomorrow": (
        lambda d: d["evidence"]["journals"][0].update(finishedAt=NOW + SKEW_MS + 1),
        "E-FUTURE",
    ),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_spoilt_sign_off(document: dict[str, Any], name: str) -> None:
    spoil, code = SPOILT[name]
    spoil(document)

    assert code in codes(document)


@pytest.mark.parametrize(
    ("sight", "code"),
    [
        (Sight("0" * 64, 9), "E-DIGEST"),
        (Sight(problem="leads to nothing"), "E-REF"),
        (Sight("0" * 64, 0), "E-EMPTY"),
    ],
)
def test_evidence_that_is_not_what_it_was(
    document: dict[str, Any], sight: Sight, code: str
) -> None:
    seen = dict.fromkeys(sights(document), sight)

    [found] = signoff.faults(document, RELEASE, NOW, seen)

    assert (found.code, found.subject) == (code, "run/journal-main.ndjson")


def test_the_digest_of_nothing_is_no_evidence(document: dict[str, Any]) -> None:
    document["pfTiles"][0]["evidence"][0].update(ref="run/other", sha256=NOTHING)

    assert codes(document) == {"E-EMPTY"}


def test_the_edges_of_the_window_are_within(document: dict[str, Any]) -> None:
    document["pfTiles"][0].update(startedAt=NOW - MAX_AGE_MS, ts=NOW + SKEW_MS)

    assert codes(document) == set()


def test_tiles_are_all_there_in_order_and_the_accused_is_red(document: dict[str, Any]) -> None:
    fault = signoff.Fault("E-DIGEST", "proof-s03", "changed")
    shown = signoff.tiles(document["proofTiles"][4:], signoff.PROOF_TILES, [fault])

    assert tuple(tile.id for tile in shown) == signoff.PROOF_TILES
    red = {tile.id: tile.reason for tile in shown if tile.verdict != "GO"}
    assert red == {
        **dict.fromkeys(signoff.PROOF_TILES[:4], signoff.MISSING),
        "proof-s03": "E-DIGEST: changed",
    }
