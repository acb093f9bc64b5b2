"""S11: a start whose budget is none, or that asks for more than it, never becomes a run."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_spec11.oracles.http import Reply
from pytest_spec11.stacks import Stack
from scenarios.support.contract import identity
from scenarios.support.contract.start_options import BUDGET
from scenarios.support.contract.start_requests import start
from scenarios.support.faults.zero_writes import zero_writes
from scenarios.support.probes.policy_violations import NO_BUDGETS, WISHES
from scenarios.support.runs.budgets import budget, reason
from scenarios.support.runs.run_lifecycle import park_run

pytestmark = pytest.mark.S11

# The course's own words.
SCHEMA_PROBE = (
    '{"recipeRef":{"id":"compile-default","v":"v1"},"formData":{"goal":"budget-schema","tenant":"acme"},'
    '"opts":{"queuePartitionKey":"tenant-acme","budget":{"maxFanout":0,"maxSBXMinutes":1,"maxArtifactsMB":1,'
    '"maxRetriesPerStep":0,"maxWallClockMS":1}}}'
)  # fmt: skip
POLICY_PROBE = (
    '{"recipeRef":{"id":"compile-default","v":"v1"},"formData":{"goal":"budget-policy","tenant":"acme"},'
    '"opts":{"queuePartitionKey":"tenant-acme","workload":{"concurrency":1,"steps":3,"sandboxMinutes":1},'
    '"budget":{"maxFanout":1,"maxSBXMinutes":5,"maxArtifactsMB":5,"maxRetriesPerStep":0,'
    '"maxWallClockMS":30000}}}'
)  # fmt: skip
COUNTS = (
    "SELECT (SELECT count(*) FROM app.intents) AS intents, (SELECT count(*) FROM app.runs) AS runs"
)
STORED = "SELECT budget, workload, timeout_ms FROM app.runs WHERE workflow_id = %(w)s"
LIMITS = {"maxFanout": 3, "maxSBXMinutes": 5, "maxWallClockMS": 60_000}
# Exactly as much as LIMITS allow, by where it is asked for; one more is refused in these words.
MOST: dict[str, tuple[dict[str, Any], str]] = {
    "workload/steps": ({"steps": 3}, reason("maxFanout", 4, 3, "ingress")),
    "workload/sandboxMinutes": ({"sandboxMinutes": 5}, reason("maxSBXMinutes", 6, 5, "ingress")),
    "timeoutMS": ({"timeoutMS": 60_000}, reason("maxWallClockMS", 60_001, 60_000, "ingress")),
}


def send_body(stack: Stack, body: str) -> Reply:
    """The reply to a body as the course sends it."""
    headers = {"content-type": "application/json"}
    return stack.api.request("POST", "/api/run", content=body, headers=headers)


def pointers(reply: Reply) -> list[str]:
    """Where the faults are, as the refusal says it."""
    return [fault["pointer"] for fault in reply.json()["details"]]


@pytest.mark.claim("S11.ingress-schema-400")
def test_a_budget_that_is_none_is_refused(lab: Stack, unique_goal: str) -> None:
    waits = park_run(lab.api, f"{unique_goal}, waiting")["workflowID"]
    before = lab.app_sql.one(COUNTS)

    with zero_writes(lab):
        replies = [
            lab.api.post("/api/run", json=start(unique_goal, budget=value))
            for value, _ in NO_BUDGETS
        ]
        stored = [
            lab.api.post("/api/runs", json={"intentId": waits, "budget": value})
            for value, _ in NO_BUDGETS
        ]
        probe = send_body(lab, SCHEMA_PROBE)

    assert [(reply.status, reply.json().get("code")) for reply in [*replies, *stored, probe]] == [
        (400, "invalid_request")
    ] * (2 * len(NO_BUDGETS) + 1)
    assert [pointers(reply) for reply in replies] == [[f"/opts/budget{at}"] for _, at in NO_BUDGETS]
    assert [pointers(reply) for reply in stored] == [[f"/budget{at}"] for _, at in NO_BUDGETS]
    assert pointers(probe) == ["/opts/budget/maxFanout"]
    assert lab.app_sql.one(COUNTS) == before
    engine = "SELECT count(*) FROM dbos.workflow_status WHERE workflow_uuid = %(w)s"
    assert lab.sys_sql.value(engine, w=identity.workflow_id(unique_goal)) == 0
    assert lab.api.post("/api/run", json=start(unique_goal, budget=BUDGET)).status == 201


@pytest.mark.claim("S11.ingress-policy-400")
def test_who_asks_for_more_than_the_budget_allows_is_refused(lab: Stack, unique_goal: str) -> None:
    waits = park_run(lab.api, f"{unique_goal}, waiting")["workflowID"]
    wishes = [wish for wish in WISHES if wish.words.startswith("budget:")]
    before = lab.app_sql.one(COUNTS)

    with zero_writes(lab):
        replies = [
            lab.api.post("/api/run", json=start(unique_goal, **wish.opts)) for wish in wishes
        ]
        partition = {"intentId": waits, "queuePartitionKey": "tenant-acme"}
        stored = [lab.api.post("/api/runs", json={**partition, **wish.opts}) for wish in wishes]
        probe = send_body(lab, POLICY_PROBE)

    assert len(wishes) == 3
    for reply in [*replies, *stored, probe]:
        assert (reply.status, reply.json().get("code")) == (400, "queue_policy_violation")
    words = [wish.words for wish in wishes]
    assert [reply.json()["error"] for reply in replies] == words
    assert [reply.json()["error"] for reply in stored] == words
    assert probe.json()["error"] == "budget:maxFanout: observed 3 > limit 1 (ingress)"
    assert [pointers(reply) for reply in replies] == [[f"/opts/{wish.at}"] for wish in wishes]
    assert lab.app_sql.one(COUNTS) == before
    engine = "SELECT count(*) FROM dbos.workflow_status WHERE workflow_uuid = %(w)s"
    assert lab.sys_sql.value(engine, w=identity.workflow_id(unique_goal)) == 0
    assert lab.api.post("/api/run", json=start(unique_goal, budget=BUDGET)).status == 201


@pytest.mark.claim("S11.ingress-policy-400")
def test_every_limit_that_is_exceeded_is_named_before_any_cap(lab: Stack, unique_goal: str) -> None:
    greedy = {"concurrency": 0, "steps": 33, "sandboxMinutes": 16}
    opts: dict[str, Any] = {"workload": greedy, "timeoutMS": 60_001, "budget": budget(**LIMITS)}

    with zero_writes(lab):
        reply = lab.api.post("/api/run", json=start(unique_goal, **opts))

    said = [
        reason("maxFanout", 33, 3, "ingress"),
        reason("maxSBXMinutes", 16, 5, "ingress"),
        reason("maxWallClockMS", 60_001, 60_000, "ingress"),
        "recipe cap exceeded: steps 33 > 32",
        "recipe cap exceeded: sandboxMinutes 16 > 15",
    ]
    assert (reply.status, reply.json()["error"]) == (400, said[0])
    assert [fault["message"] for fault in reply.json()["details"]] == said
    runs = "SELECT count(*) FROM dbos.workflow_status WHERE workflow_uuid = %(w)s"
    assert lab.sys_sql.value(runs, w=identity.workflow_id(unique_goal)) == 0
    assert lab.app_sql.rows(STORED, w=identity.workflow_id(unique_goal)) == []


@pytest.mark.claim("S11.limit-is-inclusive")
@pytest.mark.parametrize("at", MOST)
def test_a_start_may_ask_for_exactly_what_its_budget_allows(
    lab: Stack, unique_goal: str, at: str
) -> None:
    wish, refusal = MOST[at]
    within, beyond = asking(wish), asking({name: most + 1 for name, most in wish.items()})

    refused = lab.api.post("/api/run", json=start(unique_goal, **beyond))
    answer = lab.api.post("/api/run", json=start(unique_goal, **within))

    assert (refused.status, refused.json()["error"]) == (400, refusal)
    assert answer.status == 201
    stored = lab.app_sql.one(STORED, w=answer.json()["workflowID"])
    assert (stored["budget"], stored["workload"], stored["timeout_ms"]) == (
        budget(**LIMITS), within["workload"], within.get("timeoutMS"),
    )  # fmt: skip


def asking(wish: dict[str, int]) -> dict[str, Any]:
    """The options of a start that asks for so much of one thing, and for nothing else."""
    workload = {"concurrency": 0, "steps": 0, "sandboxMinutes": 0}
    asked = {name: wish.get(name, 0) for name in workload}
    others = {name: value for name, value in wish.items() if name not in workload}
    return {"workload": asked, "budget": budget(**LIMITS), **others}
