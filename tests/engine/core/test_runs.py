from __future__ import annotations

from dataclasses import replace

import pytest

from engine.core import runs
from engine.core.runs import Run, merge_status
from engine.errors import Drift

ENGINE = [
    None,
    "ENQUEUED",
    "DELAYED",
    "PENDING",
    "SUCCESS",
    "ERROR",
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED",
    "CANCELLED",
]
Q, P, W, S, E, C = "ENQUEUED", "PENDING", "WAITING_INPUT", "SUCCESS", "ERROR", "CANCELLED"
TABLE = {  # one column for each word of ENGINE
    "queued": [Q, Q, Q, P, S, E, E, C],
    "running": [P, P, P, P, S, E, E, C],
    "repairing": [P, P, P, P, S, E, E, C],
    "waiting_input": [W, W, W, W, S, E, E, C],
    "succeeded": [S] * 8,
    "failed": [E] * 8,
    "retries_exceeded": [E] * 8,
    "canceled": [C] * 8,
}
RUN = Run(
    id="run_1",
    workflow_id="ih_1",
    intent_hash="1",
    recipe_id="r",
    recipe_v="v1",
    recipe_hash="h",
    trace_id=None,
    tenant_id=None,
    queue_partition_key="acme",
    lane="interactive",
    priority=1,
    timeout_ms=None,
    workload=None,
    budget={"maxFanout": 3, "maxSBXMinutes": 1},
    gate_ttl_s=3600,
    app_version="v1",
)


@pytest.mark.parametrize("app", TABLE)
def test_the_header_status_follows_the_merge_table(app: str) -> None:
    assert [merge_status(app, engine) for engine in ENGINE] == TABLE[app]


def test_a_word_outside_the_tables_is_a_bug_and_not_a_status() -> None:
    with pytest.raises(KeyError):
        merge_status("queued", "RUNNING")


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({}, []),
        ({"trace_id": "another"}, []),
        ({"budget": {"maxSBXMinutes": 1, "maxFanout": 3}}, []),
        ({"recipe_v": "v2", "recipe_hash": "i"}, ["recipe_v", "recipe_hash"]),
        ({"tenant_id": "t"}, ["tenant_id"]),
        ({"queue_partition_key": None}, ["queue_partition_key"]),
        ({"budget": {"maxFanout": 4, "maxSBXMinutes": 1}}, ["budget"]),
        ({"lane": "batch", "priority": 1000}, ["lane"]),
        ({"lane": "batch", "priority": 7}, ["lane", "priority"]),
        ({"priority": 7}, ["priority"]),
        ({"workload": {"steps": 1}}, ["workload"]),
        ({"timeout_ms": 1}, ["timeout_ms"]),
    ],
)
def test_a_repeat_names_exactly_what_it_changes(
    change: dict[str, object], fields: list[str]
) -> None:
    found = runs.differences(replace(RUN, **change), RUN)  # type: ignore[arg-type]  # by field name

    assert [item.field for item in found] == fields


def test_drift_shows_both_sides_of_each_field() -> None:
    with pytest.raises(Drift) as refused:
        runs.require_same(replace(RUN, tenant_id="t"), RUN)

    assert str(refused.value) == "Divergence in run ih_1: identity drift on tenant_id"
    assert refused.value.facts == {
        "drift": [{"field": "tenant_id", "existing": None, "incoming": "t"}]
    }
