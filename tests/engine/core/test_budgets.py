from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from engine.background.budgets import parse_limits, verdict
from engine.contracts.budgets import BudgetViolation
from engine.core import budgets, results
from engine.core.budgets import MIB, Excess, Metric, Scope, Spent
from engine.core.results import Result
from engine.errors import RunFailed

SCHEMA = json.loads((Path(__file__).parents[3] / "scenarios/budget.schema.json").read_text("utf-8"))
LIMITS = {
    "maxFanout": 3,
    "maxSBXMinutes": 5,
    "maxArtifactsMB": 2,
    "maxRetriesPerStep": 1,
    "maxWallClockMS": 1000,
}


@pytest.mark.parametrize("metric", Metric)
def test_a_limit_may_be_met_and_not_exceeded(metric: Metric) -> None:
    limit = LIMITS[metric]

    assert budgets.find_excess(LIMITS, {metric: limit}) is None
    assert budgets.find_excess(LIMITS, {metric: limit + 1}) == Excess(metric, limit, limit + 1)
    assert budgets.find_excess(None, {metric: limit + 1}) is None


def test_of_several_the_first_that_is_looked_at_speaks() -> None:
    spent = Spent(minutes=6, output_bytes=3 * MIB, active_ms=1001)

    assert verdict(LIMITS, spent, retries=2)["over"]["metric"] == "maxRetriesPerStep"
    assert verdict(LIMITS, spent)["over"]["metric"] == "maxSBXMinutes"


@given(st.sampled_from(Metric), st.integers(0, 2**53 - 1), st.integers(1, 2**53 - 1))
def test_whatever_is_written_of_a_violation_every_reader_knows(
    metric: Metric, limit: int, observed: int
) -> None:
    excess = Excess(metric, limit, observed)

    document = BudgetViolation.model_validate(excess.document).model_dump()

    assert document == excess.document
    assert Excess.of(document) == excess
    Draft202012Validator(SCHEMA).validate(document)
    assert str(budgets.OverBudget(excess)) == document["reason"]


@pytest.mark.parametrize(
    "change",
    [
        {"outcome": "VIOLATION"},
        {"scope": "ingress"},
        {"metric": "unknown"},
        {"limit": "1"},
        {"json": {}},
        {"reason": "too much"},
    ],
)
def test_no_other_document_passes_for_one(change: dict[str, Any]) -> None:
    document = {**Excess(Metric.FANOUT, 1, 2).document, **change}

    with pytest.raises(ValidationError):
        BudgetViolation.model_validate(document)
    assert not Draft202012Validator(SCHEMA).is_valid(document)


def test_the_published_schema_is_the_writer_s() -> None:
    assert BudgetViolation.model_json_schema() == SCHEMA


def test_the_words_are_the_contract_s() -> None:
    assert Excess(Metric.FANOUT, 1, 3, Scope.INGRESS).reason == (
        "budget:maxFanout: observed 3 > limit 1 (ingress)"
    )
    assert Excess(Metric.MEGABYTES, 1, 3).reason == (
        "budget:maxArtifactsMB: observed 3 > limit 1 (runtime)"
    )


@pytest.mark.parametrize(
    "stored",
    [{}, {**LIMITS, "maxFanout": 0}, {**LIMITS, "more": 1}, {**LIMITS, "maxFanout": 1.5}, 1, []],
)
def test_a_stored_budget_that_cannot_be_read_is_not_kept_to(stored: Any) -> None:
    with pytest.raises(RunFailed, match="stored budget is malformed"):
        parse_limits(stored)
    assert parse_limits(None) is None
    assert parse_limits(LIMITS) == LIMITS


@given(st.lists(st.integers(1, 4), max_size=30), st.integers(1, 20))
def test_no_more_tasks_are_under_way_than_minutes_are_left(costs: list[int], limit: int) -> None:
    limits = {**LIMITS, "maxSBXMinutes": limit}
    billed, under_way, begun = 0, list[int](), 0
    for cost in costs:
        while not budgets.has_room(limits, billed, len(under_way)):
            billed += under_way.pop(0)
            if billed > limit:
                break
        if billed > limit:
            break
        under_way.append(cost)
        begun += 1
        assert len(under_way) <= max(1, limit - billed)

    assert begun == len(costs) or billed > limit
    assert all(budgets.has_room(None, 0, number) for number in (0, 1, 1000))


def result(stdout: str = "", stderr: str = "", file: str = "", **metrics: int) -> Result:
    return Result(
        task_key="t",
        attempt=1,
        err_code="NONE",
        exit=0,
        stdout=stdout,
        stderr=stderr,
        files={"f": file},
        metrics={"wallMs": 1, "cpuMs": 1, "memPeakMB": 1, **metrics},
        sandbox_ref="box",
    )


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40), st.integers(0, 200))
def test_what_is_cut_is_bounded_and_still_counted(out: str, err: str, file: str, most: int) -> None:
    whole = result(out, err, file)

    kept = whole.cut(most)

    texts = [(kept.stderr, err), (kept.stdout, out), (kept.files["f"], file)]
    assert all(full.startswith(text) for text, full in texts)
    size = sum(len(text.encode()) for text, _ in texts)
    wrote = sum(len(full.encode()) for _, full in texts)
    assert size <= most
    assert size > most - 4 or size == wrote  # a letter is never cut in two
    assert kept.budget_metrics["outputBytes"] == wrote
    assert kept.budget_metrics["cutBytes"] == wrote - size
    assert kept.raw.keys().isdisjoint({"stdout", "stderr", "filesOut"})


def test_what_a_provider_did_not_keep_counts_as_written() -> None:
    found = result("out", "err", stdoutBytes=100, stderrBytes=3).budget_metrics

    assert (found["outputBytes"], found["cutBytes"]) == (103, 0)


@pytest.mark.parametrize(("wall_ms", "minutes"), [(0, 0), (1, 1), (60_000, 1), (60_001, 2)])
def test_minutes_begun_are_billed(wall_ms: int, minutes: int) -> None:
    assert budgets.billed_minutes(wall_ms) == minutes
    assert result(wallMs=wall_ms).budget_metrics["billedMinutes"] == minutes


@pytest.mark.parametrize(
    ("code", "attempt", "needed"),
    [("BOOT_FAIL", 1, 1), ("BOOT_FAIL", 2, 2), ("BOOT_FAIL", 3, 2), ("NONE", 1, 0), ("OOM", 2, 1)],
)
def test_a_retry_that_would_follow_counts(code: str, attempt: int, needed: int) -> None:
    assert results.retries(code, attempt) == needed
