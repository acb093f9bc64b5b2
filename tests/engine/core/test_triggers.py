from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from engine.core import triggers
from engine.core.signoff import Fault, Tile
from engine.core.triggers import GRACE_MS, Finding, Stance, Standing

SOUND = Stance(scope="signoff", oc_mode="replay", oc_strict=True, sbx_mode="mock", partitioned=True)
NOW = 10**12


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"scope": "demo"}, "claim_scope_demo"),
        ({"scope": "demo", "oc_strict": False}, "claim_scope_demo"),
        ({"oc_strict": False}, "oc_strict_mode_required"),
        ({"partitioned": False}, "queue_partition_off"),
        ({"scope": "live-smoke", "oc_mode": "live", "sbx_mode": "live"}, None),
        ({"scope": "live-smoke", "sbx_mode": "live"}, "oc_mode_replay"),
        (
            {"scope": "live-smoke", "oc_strict": False, "oc_mode": "record"},
            "oc_strict_mode_required; oc_mode_record; sbx_mode_mock",
        ),
    ],
)
def test_how_a_process_runs(change: dict[str, Any], reason: str | None) -> None:
    tile = triggers.posture(replace(SOUND, **change))

    assert (tile.reason, tile.verdict) == (reason, "NO_GO" if reason else "GO")


def test_only_what_nobody_declared_counts_and_all_of_it() -> None:
    found = [Finding(f"ih_{number}", number) for number in range(8)]

    tile = triggers.count_findings(triggers.FRESH_FAILURES, found, {"ih_3"}, "failed runs")

    assert tile.reason == "7 failed runs: ih_0, ih_1, ih_2"
    assert (tile.verdict, tile.ts) == ("NO_GO", 7)
    said = [Finding("ih_1", 1, "budget: too much"), Finding("ih_1", 2, "budget: again")]
    assert triggers.count_findings(triggers.BUDGET, said, (), "budget violations").reason == (
        "2 budget violations: ih_1 (budget: too much), ih_1 (budget: again)"
    )
    every = {each.workflow_id for each in found}
    assert (
        triggers.count_findings(triggers.FRESH_FAILURES, found, every, "failed runs").verdict
        == "GO"
    )


@pytest.mark.parametrize(
    ("app", "engine"),
    [
        ("succeeded", "ERROR"), ("succeeded", "CANCELLED"), ("succeeded", None),
        ("failed", "SUCCESS"), ("retries_exceeded", "SUCCESS"), ("canceled", "SUCCESS"),
        ("running", "SUCCESS"), ("waiting_input", "ERROR"), ("queued", "CANCELLED"),
        ("succeeded", "PENDING"), ("canceled", "ENQUEUED"), ("running", None),
        ("running", "BROKEN"),
    ],
)  # fmt: skip
def test_different_ends_are_a_divergence_beyond_the_grace(app: str, engine: str | None) -> None:
    theirs = {"e": Standing(engine, NOW - GRACE_MS)} if engine else {}
    ours = {"e": Standing(app, NOW - GRACE_MS)}

    assert triggers.divergent(ours, theirs, NOW) == [Finding("e", NOW - GRACE_MS)]
    fresh = {"e": replace(ours["e"], ts=NOW - GRACE_MS + 1)}
    assert triggers.divergent(fresh, theirs, NOW) == []


@pytest.mark.parametrize(
    ("app", "engine"),
    [
        ("succeeded", "SUCCESS"), ("failed", "ERROR"), ("canceled", "CANCELLED"),
        ("retries_exceeded", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"), ("queued", "PENDING"),
        ("waiting_input", "PENDING"), ("running", "ENQUEUED"), ("repairing", "PENDING"),
    ],
)  # fmt: skip
def test_the_same_end_is_none_and_no_end_is_none(app: str, engine: str) -> None:
    assert triggers.divergent({"e": Standing(app, 0)}, {"e": Standing(engine, 0)}, NOW) == []


def test_a_green_without_evidence_and_hollow_evidence_are_false() -> None:
    tiles = [
        Tile(id="pf-quick", label="", verdict="GO", evidence=(), ts=0),
        Tile(id="pf-full", label="", verdict="NO_GO", evidence=(), ts=0),
    ]
    against = [Fault("E-DIGEST", "run/blob", "x"), Fault("E-STALE", "pf-deps", "x")]

    assert triggers.false_green(tiles, against).reason == (
        "mandatory_go_tile_missing_evidence: pf-quick, run/blob"
    )
    assert triggers.false_green(tiles[1:], against[1:]).verdict == "GO"


def test_evidence_out_of_time_is_counted() -> None:
    against = [Fault("E-STALE", "pf-deps", "is old"), Fault("E-FUTURE", "pf-full", "x")]

    assert triggers.freshness(5, against).reason == "2 out of time: E-STALE pf-deps is old"
    assert triggers.freshness(0, []).reason == "no_evidence"
    assert triggers.freshness(5, [Fault("E-REF", "x", "x")]).verdict == "GO"
