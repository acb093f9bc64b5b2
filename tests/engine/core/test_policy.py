from __future__ import annotations

from typing import Any

import pytest

from engine.core import constraints, policy
from engine.core.policy import Options, Rules
from engine.core.recipes import Recipe
from engine.errors import PolicyViolation

RULES = Rules(partitioned=True, gate_ttl_s=3600, app_version="v1")
RECIPE = Recipe(
    "r", "v1", "0" * 64, "stable", {"limits": {"maxSteps": 32, "maxFanout": 4, "maxSbxMin": 15}}
)
INTENT: dict[str, Any] = {"goal": "g", "inputs": {}, "constraints": {}}
HASH = "c08b3adfd26e71a0d34ab52fddeb9db3fafa49f5b4cd4c7cd5e1e5ac33a1c9ce"
BUDGET = {
    "maxFanout": 2,
    "maxSBXMinutes": 5,
    "maxArtifactsMB": 1,
    "maxRetriesPerStep": 0,
    "maxWallClockMS": 1000,
}
KEY = "queuePartitionKey is required for partitioned operations (queue: intentQ, isParent: true)"


def work(concurrency: int = 0, steps: int = 0, minutes: int = 0) -> dict[str, int]:
    return {"concurrency": concurrency, "steps": steps, "sandboxMinutes": minutes}


def messages(intent: dict[str, Any] = INTENT, rules: Rules = RULES, **options: Any) -> list[str]:
    wishes = Options(**{"queue_partition_key": "acme", **options})
    return [item.message for item in policy.violations(RECIPE, intent, HASH, wishes, rules)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"queue_partition_key": None}, KEY),
        ({"queue_partition_key": " \t"}, KEY),
        ({"queue_name": "sbxQ"}, "parent intent workflow must use intentQ (got sbxQ)"),
        ({"tenant_id": " "}, "tenantId cannot be blank"),
        ({"recipe_name": "s"}, "recipeName may only restate r"),
        ({"recipe_version": "v2"}, "recipeVersion may only restate v1"),
        ({"deduplication_id": "x"}, f"deduplicationID may only restate {HASH}"),
        ({"task_key": HASH}, f"taskKey may only restate ih_{HASH}"),
        ({"workload": work(concurrency=5)}, "recipe cap exceeded: concurrency 5 > 4"),
        ({"workload": work(steps=33)}, "recipe cap exceeded: steps 33 > 32"),
        ({"workload": work(minutes=16)}, "recipe cap exceeded: sandboxMinutes 16 > 15"),
        (
            {"budget": BUDGET, "workload": work(steps=3)},
            "budget:maxFanout: observed 3 > limit 2 (ingress)",
        ),
        (
            {"budget": BUDGET, "workload": work(minutes=6)},
            "budget:maxSBXMinutes: observed 6 > limit 5 (ingress)",
        ),
        (
            {"budget": BUDGET, "timeout_ms": 1001},
            "budget:maxWallClockMS: observed 1001 > limit 1000 (ingress)",
        ),
    ],
)
def test_each_rule_refuses_with_its_own_words(options: dict[str, Any], message: str) -> None:
    assert messages(**options) == [message]


def test_a_sandbox_that_nobody_understands_is_refused() -> None:
    intent = {**INTENT, "constraints": {"sandbox": "python"}}

    assert messages(intent) == ["constraints.sandbox must be {base?, dependencies?}"]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"queue_name": "intentQ", "recipe_name": "r", "recipe_version": "v1"},
        {"deduplication_id": HASH, "task_key": f"ih_{HASH}"},
        {"workload": work(4, 32, 15)},
        {"budget": BUDGET, "workload": work(steps=2, minutes=5), "timeout_ms": 1000},
    ],
)
def test_what_restates_or_reaches_a_limit_is_allowed(options: dict[str, Any]) -> None:
    assert messages(**options) == []


def test_without_partitions_no_key_is_needed_and_a_blank_one_still_refused() -> None:
    plain = Rules(partitioned=False, gate_ttl_s=1, app_version="v1")

    assert messages(rules=plain, queue_partition_key=None) == []
    assert messages(rules=plain, queue_partition_key="") == [KEY]


@pytest.mark.parametrize("ttl", [0, -1, 86_401, 1.5, True, "60", [1]])
@pytest.mark.parametrize("name", constraints.TTL_NAMES)
def test_a_gate_ttl_outside_a_day_is_refused(name: str, ttl: object) -> None:
    assert len(messages({**INTENT, "constraints": {name: ttl}})) == 1


@pytest.mark.parametrize(
    ("constraints", "seconds"),
    [
        ({}, 3600),
        ({"planApprovalTimeoutS": 2}, 2),
        ({"timeoutS": 86_400.0}, 86_400),
        ({"timeoutS": 5, "testHooks": {"plan_approval_timeout_s": 1}}, 1),
        ({"timeoutS": 5, "testHooks": {}}, 3600),
    ],
)
def test_a_gate_waits_as_long_as_the_intent_says(constraints: dict[str, Any], seconds: int) -> None:
    run = policy.plan_run(
        RECIPE, {**INTENT, "constraints": constraints}, Options(queue_partition_key="a"), RULES
    )

    assert run.gate_ttl_s == seconds


def test_every_broken_rule_is_named_and_the_first_one_leads() -> None:
    wishes = Options(queue_name="sbxQ", tenant_id="", workload=work(steps=40))

    with pytest.raises(PolicyViolation) as refused:
        policy.plan_run(RECIPE, INTENT, wishes, RULES)

    details: Any = refused.value.facts["details"]
    assert str(refused.value) == details[0]["message"]
    assert [item["pointer"] for item in details] == [
        "/opts/queueName",
        "/opts/queuePartitionKey",
        "/opts/tenantId",
        "/opts/workload/steps",
    ]


@pytest.mark.parametrize(
    ("options", "lane", "priority"),
    [
        ({}, "interactive", 1),
        ({"lane": "batch"}, "batch", 1000),
        ({"lane": "batch", "priority": 5}, "batch", 5),
    ],
)
def test_the_lane_sets_the_priority_that_nobody_asked_for(
    options: dict[str, Any], lane: str, priority: int
) -> None:
    run = policy.plan_run(RECIPE, INTENT, Options(queue_partition_key="a", **options), RULES)

    assert (run.lane, run.priority) == (lane, priority)
