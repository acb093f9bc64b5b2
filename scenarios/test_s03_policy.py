"""S03: what a queue, a recipe or a form forbids is refused by the earliest check that sees it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest

from pytest_spec11.oracles.http import Reply
from pytest_spec11.oracles.snapshot import assert_unchanged
from pytest_spec11.stacks import Stack, Stacks
from scenarios.support.contract import identity, recipes
from scenarios.support.contract.start_requests import RECIPE, start
from scenarios.support.faults.zero_writes import zero_writes
from scenarios.support.probes.policy_violations import BLANKS, FORMS, MOST, OVER, WISHES

pytestmark = pytest.mark.S03

COUNTS = (
    "SELECT (SELECT count(*) FROM app.intents) AS intents, (SELECT count(*) FROM app.runs) AS runs"
)


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

        with assert_unchanged(shim.app_sql, shim.sys_sql):
            reply = shim.api.post("/api/run", json=body)

        assert (reply.status, reply.json()["code"]) == (400, "queue_policy_violation")
        assert shim.api.post("/api/run", json=start(unique_goal)).status == 201


@pytest.mark.claim("S03.form-schema-400")
def test_a_form_that_its_recipe_does_not_know_is_refused(lab: Stack, unique_goal: str) -> None:
    bodies = [{**start(""), "formData": form} for form, _ in FORMS]

    with zero_writes(lab):
        replies = [lab.api.post("/api/run", json=body) for body in bodies]

    assert [(reply.status, reply.json()["error"], _pointers(reply)) for reply in replies] == [
        (400, f"invalid form: {_count_faults(len(names))}", {f"/formData/{name}" for name in names})
        for _, names in FORMS
    ]
    assert lab.api.post("/api/run", json=start(unique_goal)).status == 201


def _count_faults(faults: int) -> str:
    return "1 fault" if faults == 1 else f"{faults} faults"


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
    with zero_writes(lab):
        replies = [lab.api.post("/api/run", json=start(unique_goal, **wish.opts)) for wish in OVER]

    assert [(reply.status, reply.json()["error"]) for reply in replies] == [
        (400, wish.words) for wish in OVER
    ]
    assert lab.api.post("/api/run", json=start(unique_goal, workload=MOST)).status == 201
    pinned = {**RECIPE, "v": laxer}
    beyond = {**start(f"{unique_goal}, laxer", workload={**MOST, "steps": 64}), "recipeRef": pinned}
    assert lab.api.post("/api/run", json=beyond).status == 201


@pytest.mark.claim("S03.policy-400")
def test_what_no_run_may_ask_for_is_refused(lab: Stack, unique_goal: str) -> None:
    bodies = [start(unique_goal, **wish.opts) for wish in WISHES]

    with zero_writes(lab):
        replies = [lab.api.post("/api/run", json=body) for body in bodies]

    assert [(reply.status, _pointers(reply)) for reply in replies] == [
        (400, {f"/opts/{wish.at}"}) for wish in WISHES
    ]
    pairs = [
        (wish.words, reply.json()["error"]) for wish, reply in zip(WISHES, replies, strict=True)
    ]
    assert [error for words, error in pairs if words] == [words for words, _ in pairs if words]
    accepted: list[dict[str, Any]] = [
        {"priority": 2**31 - 1},
        {"priority": 1},
        {"timeoutMS": 600_000},
    ]
    for most in accepted:
        goal = f"{unique_goal}, {most}"
        assert lab.api.post("/api/run", json=start(goal, **most)).status == 201


@pytest.mark.claim("S03.policy-400")
def test_a_gate_may_wait_a_day_at_most(lab: Stack, unique_goal: str) -> None:
    bodies = {ttl: _with_ttl(lab, unique_goal, ttl) for ttl in (86_401, 0, -1, 1.5, "60")}
    accepted = _with_ttl(lab, unique_goal, 86_400)

    with zero_writes(lab):
        replies = {ttl: lab.api.post("/api/run", json=body) for ttl, body in bodies.items()}

    said = {ttl: (reply.status, reply.json()["code"]) for ttl, reply in replies.items()}
    assert said == dict.fromkeys(bodies, (400, "queue_policy_violation"))
    assert "86400" in replies[86_401].json()["error"]
    assert lab.api.post("/api/run", json=accepted).status == 201


def _with_ttl(stack: Stack, goal: str, ttl_s: object) -> dict[str, Any]:
    """A start of a recipe version, just planted, whose gate waits ``ttl_s`` seconds."""
    spec = recipes.spec(stack.app_sql)
    template = spec["intentTmpl"]
    constraints = {**template["constraints"], "planApprovalTimeoutS": ttl_s}
    version = f"gate of {ttl_s!r}"
    waits = {**template, "constraints": constraints}
    recipes.plant(stack, {**spec, "v": version, "intentTmpl": waits})
    return {**start(goal), "recipeRef": {**RECIPE, "v": version}}


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
    queue = "parent intent workflow must use intentQ (got sbxQ)"
    answers = {
        "schema": (400, "invalid_request", "invalid RunStartRequest: 1 fault"),
        "recipe": (404, None, "recipe not found: compile-default@v99"),
        "form": (400, "invalid_request", "invalid form: 1 fault"),
        "policy": (400, "queue_policy_violation", queue),
        "drift": (409, "run_identity_conflict", f"Divergence in run {wid}: identity drift on lane"),
    }

    alone = {fault: _read_refusal(lab, _wrong(unique_goal, (fault,))) for fault in FAULTS}
    pairs = {
        pair: _read_refusal(lab, _wrong(unique_goal, pair)) for pair in combinations(FAULTS, 2)
    }

    assert alone == answers
    assert pairs == {pair: answers[pair[0]] for pair in pairs}


def _read_refusal(stack: Stack, body: dict[str, Any]) -> tuple[int, str | None, str | None]:
    reply = stack.api.post("/api/run", json=body)
    return reply.status, reply.json().get("code"), reply.json().get("error")


def _pointers(reply: Reply) -> set[str]:
    return {fault["pointer"] for fault in reply.json()["details"]}
