"""S03: what a queue, a recipe or a form forbids is refused by the earliest check that sees it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest

from pytest_spec11.oracles.snapshot import unchanged
from pytest_spec11.stacks import Stack, Stacks
from scenarios import identity, recipes
from scenarios.intents import RECIPE, start
from scenarios.stillness import zero_writes
from scenarios.wishes import BUDGET, WORKLOAD

pytestmark = pytest.mark.S03

COUNTS = (
    "SELECT (SELECT count(*) FROM app.intents) AS intents, (SELECT count(*) FROM app.runs) AS runs"
)
BLANKS: list[Any] = [None, "", " ", "\t\n", "\u2003"]


@pytest.mark.claim("S03.no-partition-400")
def test_a_start_without_a_partition_is_refused(lab: Stack, unique_goal: str) -> None:
    bare = {"recipeRef": RECIPE, "formData": {"goal": unique_goal}}
    bodies = [bare, {**bare, "opts": {}}]
    bodies += [start(unique_goal, queuePartitionKey=blank) for blank in BLANKS]
    before = lab.app_sql.one(COUNTS)

    with zero_writes(lab):
        replies = [lab.api.post("/api/run", json=body) for body in bodies]

    assert [reply.status for reply in replies] == [400] * 7
    for reply in replies:
        assert reply.json()["code"] == "queue_policy_violation"
        assert reply.json()["error"].startswith("queuePartitionKey is required for partitioned")
    assert lab.app_sql.one(COUNTS) == before
    assert lab.api.post("/api/run", json=start(unique_goal)).status == 201


@pytest.mark.claim("S03.no-partition-400")
@pytest.mark.parametrize("off", ["INTENT_QUEUE_PARTITION", "SBX_QUEUE_PARTITION"])
def test_one_partitioned_queue_is_enough_to_demand_a_key(
    stacks: Stacks, unique_goal: str, off: str
) -> None:
    with stacks.start(only=("api",), env={off: "false"}) as shim:
        body = {"recipeRef": RECIPE, "formData": {"goal": unique_goal}}

        with unchanged(shim.app_sql, shim.sys_sql):
            reply = shim.api.post("/api/run", json=body)

        assert (reply.status, reply.json()["code"]) == (400, "queue_policy_violation")
        assert shim.api.post("/api/run", json=start(unique_goal)).status == 201


@pytest.mark.claim("S03.form-schema-400")
def test_a_form_that_its_recipe_does_not_know_is_refused(lab: Stack, unique_goal: str) -> None:
    forms: list[tuple[dict[str, Any], set[str]]] = [
        ({}, {"/formData/goal"}),
        ({"goal": 1}, {"/formData/goal"}),
        ({"goal": None}, {"/formData/goal"}),
        ({"goal": ""}, {"/formData/goal"}),
        ({"goal": "x" * 2001}, {"/formData/goal"}),
        ({"goal": unique_goal, "topic": ["alpha"]}, {"/formData/topic"}),
        ({"goal": unique_goal, "topic": ""}, {"/formData/topic"}),
        ({"goal": unique_goal, "colour": "red"}, {"/formData/colour"}),
        ({"goal": unique_goal, "a/b~c": 1}, {"/formData/a~1b~0c"}),
        ({"topic": 1, "colour": 1}, {"/formData/goal", "/formData/topic", "/formData/colour"}),
    ]

    with zero_writes(lab):
        replies = [
            lab.api.post("/api/run", json={**start(""), "formData": form}) for form, _ in forms
        ]

    assert [
        (
            reply.status,
            reply.json()["error"],
            {fault["pointer"] for fault in reply.json()["details"]},
        )
        for reply in replies
    ] == [(400, f"invalid form: {len(where)} faults", where) for _, where in forms]
    assert lab.api.post("/api/run", json=start(unique_goal)).status == 201


@pytest.fixture
def laxer(lab: Stack, unique_goal: str) -> Iterator[str]:
    """A version of ``compile-default`` with twice the caps, to which its pointer leads."""
    spec = recipes.spec(lab.app_sql)
    caps = {name: 2 * number for name, number in spec["limits"].items()}
    version = f"v2 of {unique_goal}"
    recipes.plant(lab, {**spec, "v": version, "limits": caps})
    lab.admin.execute(
        "UPDATE app.recipes SET active_v = %(v)s WHERE id = %(id)s", v=version, id=spec["id"]
    )
    yield version
    lab.admin.execute("UPDATE app.recipes SET active_v = 'v1' WHERE id = %(id)s", id=spec["id"])


@pytest.mark.claim("S03.policy-400")
def test_the_caps_are_those_of_the_pinned_version(lab: Stack, unique_goal: str, laxer: str) -> None:
    over = [
        ({"concurrency": 5}, "concurrency 5 > 4"),
        ({"steps": 33}, "steps 33 > 32"),
        ({"sandboxMinutes": 16}, "sandboxMinutes 16 > 15"),
    ]
    most = {"concurrency": 4, "steps": 32, "sandboxMinutes": 15}

    with zero_writes(lab):
        replies = [
            lab.api.post("/api/run", json=start(unique_goal, workload={**WORKLOAD, **more}))
            for more, _ in over
        ]

    assert [(reply.status, reply.json()["error"]) for reply in replies] == [
        (400, f"recipe cap exceeded: {said}") for _, said in over
    ]
    assert lab.api.post("/api/run", json=start(unique_goal, workload=most)).status == 201
    pinned = {**RECIPE, "v": laxer}
    beyond = {**start(f"{unique_goal}, laxer", workload={**most, "steps": 64}), "recipeRef": pinned}
    assert lab.api.post("/api/run", json=beyond).status == 201


@pytest.mark.claim("S03.policy-400")
def test_what_no_run_may_ask_for_is_refused(lab: Stack, unique_goal: str) -> None:
    small = {**BUDGET, "maxFanout": 1, "maxSBXMinutes": 1, "maxWallClockMS": 1}
    wishes: list[tuple[dict[str, Any], str, str]] = [
        ({"queueName": "sbxQ"}, "/opts/queueName", "parent intent workflow must use intentQ (got sbxQ)"),
        ({"priority": 0}, "/opts/priority", ""),
        ({"priority": -5}, "/opts/priority", ""),
        ({"priority": 2**31}, "/opts/priority", ""),
        ({"tenantId": ""}, "/opts/tenantId", "tenantId cannot be blank"),
        ({"tenantId": " \t"}, "/opts/tenantId", "tenantId cannot be blank"),
        ({"timeoutMS": 0}, "/opts/timeoutMS", ""),
        ({"timeoutMS": -1}, "/opts/timeoutMS", ""),
        ({"budget": small, "workload": {**WORKLOAD, "steps": 3, "sandboxMinutes": 0}}, "/opts/workload/steps", "budget:maxFanout: observed 3 > limit 1 (ingress)"),
        ({"budget": small, "workload": {**WORKLOAD, "steps": 1}}, "/opts/workload/sandboxMinutes", "budget:maxSBXMinutes: observed 5 > limit 1 (ingress)"),
        ({"budget": small, "timeoutMS": 2}, "/opts/timeoutMS", "budget:maxWallClockMS: observed 2 > limit 1 (ingress)"),
    ]  # fmt: skip

    with zero_writes(lab):
        replies = [
            lab.api.post("/api/run", json=start(unique_goal, **wish)) for wish, _, _ in wishes
        ]

    assert [reply.status for reply in replies] == [400] * len(wishes)
    assert [[fault["pointer"] for fault in reply.json()["details"]] for reply in replies] == [
        [where] for _, where, _ in wishes
    ]
    said = [
        (reply.json()["error"], words)
        for reply, (_, _, words) in zip(replies, wishes, strict=True)
        if words
    ]
    assert [error for error, _ in said] == [words for _, words in said]
    for most in ({"priority": 2**31 - 1}, {"priority": 1}, {"timeoutMS": 600_000}):
        goal = f"{unique_goal}, {most}"
        assert lab.api.post("/api/run", json=start(goal, **most)).status == 201


@pytest.mark.claim("S03.policy-400")
def test_a_gate_may_wait_a_day_at_most(lab: Stack, unique_goal: str) -> None:
    spec = recipes.spec(lab.app_sql)
    constraints = spec["intentTmpl"]["constraints"]
    pinned = {}
    for ttl_s in (86_400, 86_401, 0, -1, 1.5, "60"):
        waits = {
            **spec["intentTmpl"],
            "constraints": {**constraints, "planApprovalTimeoutS": ttl_s},
        }
        version = f"gate of {ttl_s!r}"
        recipes.plant(lab, {**spec, "v": version, "intentTmpl": waits})
        pinned[ttl_s] = {**start(unique_goal), "recipeRef": {**RECIPE, "v": version}}
    accepted = pinned.pop(86_400)

    with zero_writes(lab):
        replies = {ttl_s: lab.api.post("/api/run", json=body) for ttl_s, body in pinned.items()}

    assert {
        ttl_s: (reply.status, reply.json().get("code")) for ttl_s, reply in replies.items()
    } == (dict.fromkeys(pinned, (400, "queue_policy_violation")))
    assert "86400" in replies[86_401].json()["error"]
    assert lab.api.post("/api/run", json=accepted).status == 201


FAULTS = ("schema", "recipe", "form", "policy", "drift")  # in the order of the checks (D5)


def _wrong(goal: str, faults: tuple[str, ...]) -> dict[str, Any]:
    """A start of ``goal`` with all of ``faults``."""
    body = start(goal)
    if "schema" in faults:
        body["bogus"] = 1
    if "recipe" in faults:
        body["recipeRef"] = {"id": "compile-default", "v": "v99"}
    if "form" in faults:
        body["formData"]["colour"] = "red"
    if "policy" in faults:
        body["opts"]["queueName"] = "sbxQ"
    if "drift" in faults:
        body["opts"]["lane"] = "batch"
    return body


@pytest.mark.claim("S03.refusal-order")
def test_of_two_faults_the_earlier_check_speaks(lab: Stack, unique_goal: str) -> None:
    wid = lab.api.post("/api/run", json=start(unique_goal)).json()["workflowID"]
    assert wid == identity.workflow_id(unique_goal)
    answers = {
        "schema": (400, "invalid_request", "invalid RunStartRequest: 1 faults"),
        "recipe": (404, None, "recipe not found: compile-default@v99"),
        "form": (400, "invalid_request", "invalid form: 1 faults"),
        "policy": (400, "queue_policy_violation", "parent intent workflow must use intentQ (got sbxQ)"),
        "drift": (409, "run_identity_conflict", f"Divergence in run {wid}: identity drift on lane"),
    }  # fmt: skip

    alone = {
        fault: lab.api.post("/api/run", json=_wrong(unique_goal, (fault,))) for fault in FAULTS
    }
    pairs = {
        pair: lab.api.post("/api/run", json=_wrong(unique_goal, pair))
        for pair in combinations(FAULTS, 2)
    }

    said = {
        faults: (reply.status, reply.json().get("code"), reply.json()["error"])
        for faults, reply in {**alone, **pairs}.items()
    }
    assert {fault: said[fault] for fault in FAULTS} == answers
    assert {pair: said[pair] for pair in pairs} == {pair: answers[pair[0]] for pair in pairs}
