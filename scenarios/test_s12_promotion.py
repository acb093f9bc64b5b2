"""S12: a version is stable once its own fixtures passed twice, and what a run pinned stays."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from pytest_spec11.canon import digest
from pytest_spec11.stacks import Stack
from pytest_spec11.waiting import GIVE_UP_S, eventually
from scenarios.support.contract import identity
from scenarios.support.contract.recipes import SEEDED
from scenarios.support.contract.start_requests import start
from scenarios.support.runs.promotions import (
    DOUBLES,
    ENDS_S,
    OUT,
    PLAN,
    candidate,
    due,
    import_specs,
    intents,
    promote_version,
    read_findings,
    results,
    spec,
    stable,
    stands,
    tries,
    url,
    workflows,
)
from scenarios.support.runs.run_lifecycle import answer_run, await_status
from scenarios.support.runs.workshop import Workshop

pytestmark = pytest.mark.S12

SEED = "SELECT json FROM app.recipe_versions WHERE id = %(id)s AND v = 'v1'"
POINT = "UPDATE app.recipes SET active_v = %(v)s WHERE id = %(id)s"
RUN = "SELECT recipe_v, recipe_hash, intent_hash, status FROM app.runs WHERE workflow_id = %(w)s"
TASKS = """
SELECT count(*) FROM app.sbx_runs t JOIN app.runs r ON r.id = t.run_id WHERE r.workflow_id = %(w)s
"""
# Every kind of check, each passing for what the agents of replay say.
CHECKS: list[dict[str, Any]] = [
    {"id": "out", "kind": "file_exists", "glob": OUT},
    {
        "id": "shape",
        "kind": "jsonschema",
        "artifact": PLAN,
        "schema": {
            "type": "object",
            "required": ["goal"],
            "properties": {"risks": {"minItems": 1}},
        },
    },
    {"id": "object", "kind": "rowcount_gte", "artifact": PLAN, "n": 1},
    {"id": "said", "kind": "regex", "artifact": PLAN, "re": r"^\{.*Goal: f\d"},
    {"id": "alike", "kind": "diff_le", "artifactA": OUT, "artifactB": OUT, "max": 0},
]
REASONS = {
    "out": "file_exists:ok",
    "shape": "jsonschema:ok",
    "object": "rowcount_gte:ok:1>=1",
    "said": "regex:ok",
    "alike": "diff_le:ok:0<=0",
}
FORMS = [{"id": f"f{number}", "formData": {"goal": f"f{number}"}} for number in (1, 2)]
MISS = {"id": "miss", "kind": "regex", "artifact": PLAN, "re": "never said"}
BOMB = {"id": "bomb", "kind": "regex", "artifact": PLAN, "re": r"(([a-zA-Z :]+)*)+!$"}
NOWHERE = {"id": "nowhere", "kind": "jsonschema", "artifact": "artifact://none", "schema": {}}
KEY = 12
HOLD = f"""
CREATE FUNCTION public.hold() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_advisory_xact_lock({KEY}); RETURN NEW; END $$;
CREATE TRIGGER hold BEFORE INSERT ON app.eval_results FOR EACH ROW WHEN (NEW.round = 1)
EXECUTE FUNCTION public.hold()
"""
LET_GO = "DROP FUNCTION public.hold CASCADE"
WAITING = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock' AND wait_event = 'advisory'
"""


@contextmanager
def first_round_held(stack: Stack) -> Iterator[None]:
    """What the first round found is recorded when the block is over."""
    with stack.admin.holding(KEY):
        stack.admin.execute(HOLD)
        yield


@pytest.mark.claim("S12.promote-runs-evals")
def test_a_good_version_runs_every_fixture_twice_and_is_stable(
    lab: Stack, unique_goal: str
) -> None:
    good = candidate(lab.api, spec(lab.app_sql, unique_goal, eval=CHECKS, fixtures=FORMS))
    assert stands(lab.app_sql, good)["active_v"] is None

    answer = promote_version(lab.api, good)

    (promotion,) = tries(lab.app_sql, good)
    one, other = promotion["outcome_hashes"]
    assert (answer.status, answer.json()) == (
        200,
        {
            "id": unique_goal,
            "v": "v1",
            "hash": digest(good),
            "status": "stable",
            "activeV": "v1",
            "promotionID": promotion["id"],
            "outcomeHash": one,
        },
    )
    rows = read_findings(lab.app_sql, good)
    assert results(rows) == due(good)
    assert {(row["check_id"], row["pass"], row["reason"]) for row in rows} == {
        (check, True, reason) for check, reason in REASONS.items()
    }
    assert {row["fixture_id"]: row["intent_hash"] for row in rows} == intents(good)
    assert lab.app_sql.rows(DOUBLES) == []
    assert (promotion["state"], one == other) == ("passed", True)
    now = stands(lab.app_sql, good)
    assert (now["status"], now["active_v"], now["hash"]) == ("stable", "v1", digest(good))
    assert now["written"] == now["pointed"]  # one transaction wrote both
    assert workflows(lab, good) == ["SUCCESS"]


@pytest.mark.claim("S12.promote-refuses")
@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"eval": [*CHECKS, MISS]}, "check miss of fixture f1: regex:miss"),
        ({"eval": [BOMB]}, "check bomb of fixture f1: regex:miss"),
        (
            {"eval": [NOWHERE]},
            "check nowhere of fixture f1: jsonschema:artifact_missing:artifact://none",
        ),
        (
            {"fixtures": [{"id": "f1", "formData": {"topic": "alpha"}}]},
            "check out-exists of fixture f1: fixture:invalid form: 1 fault",
        ),
        (
            {"intentTmpl": {"goal": "{{formData.__class__}}", "inputs": {}, "constraints": {}}},
            "check out-exists of fixture f1: fixture:missing template key: formData.__class__",
        ),
        (
            {"intentTmpl": {"goal": "{{formData.goal.upper}}", "inputs": {}, "constraints": {}}},
            "check out-exists of fixture f1: fixture:missing template key: formData.goal.upper",
        ),
        (
            {
                "intentTmpl": {
                    "goal": "{{formData.goal}}" * 600,
                    "inputs": {},
                    "constraints": {},
                },
                "fixtures": [{"id": "f1", "formData": {"goal": "x" * 2000}}],
            },
            "check out-exists of fixture f1: fixture:invalid Intent: larger than 1048576 bytes",
        ),
        ({"eval": []}, "it has no eval"),
        ({"fixtures": []}, "it has no fixture"),
    ],
    ids=["eval", "bomb", "artifact", "form", "class", "method", "size", "no eval", "no fixture"],
)
def test_what_does_not_pass_stays_a_candidate(
    lab: Stack, unique_goal: str, changes: dict[str, Any], why: str
) -> None:
    before = spec(lab.app_sql, unique_goal, "v1")
    stable(lab.api, before)
    bad = candidate(lab.api, {**before, "v": "v2", "fixtures": FORMS[:1], **changes})

    answers = [promote_version(lab.api, bad) for _ in range(2)]

    message = f"recipe {unique_goal}@v2 was not promoted: {why}"
    said = [(each.status, each.json()["error"], each.json()["code"]) for each in answers]
    assert said == [(409, message, "promotion_refused")] * 2
    now = stands(lab.app_sql, bad)
    assert (now["status"], now["active_v"]) == ("candidate", "v1")
    looked_at = 2 if bad["eval"] and bad["fixtures"] else 0
    assert [each["state"] for each in tries(lab.app_sql, bad)] == ["failed"] * looked_at
    assert len(read_findings(lab.app_sql, bad)) == looked_at * len(due(bad))


@pytest.mark.claim("S12.promote-refuses")
def test_a_fixture_whose_task_fails_is_a_fixture_that_fails(
    shop: Workshop, unique_goal: str
) -> None:
    stack = shop.stack
    shop.set_answer("build", unique_goal, patch=[], tests=[], test_command="FAIL_ME")
    bad = candidate(stack.api, spec(stack.app_sql, unique_goal))

    answer = promote_version(stack.api, bad)

    why = "check out-exists of fixture f1: fixture:SBX execution failed [CMD_NONZERO]"
    assert (answer.status, answer.json()["code"]) == (409, "promotion_refused")
    assert answer.json()["error"] == f"recipe {unique_goal}@v1 was not promoted: {why}"
    assert answer.json()["details"] == [{"pointer": "/eval/0", "message": why}]
    now = stands(stack.app_sql, bad)
    assert (now["status"], now["active_v"]) == ("candidate", None)


@pytest.mark.claim("S12.promote-refuses")
def test_what_is_stable_goes_no_further_and_what_is_not_there_is_not_found(
    lab: Stack, unique_goal: str
) -> None:
    done = spec(lab.app_sql, unique_goal)
    stable(lab.api, done)
    before = stands(lab.app_sql, done)

    again = lab.api.post(url(done))
    unknown = [lab.api.post(url({**done, part: "none"})) for part in ("id", "v")]

    refusal = {"error": f"recipe {unique_goal}@v1 is stable already", "code": "illegal_state"}
    assert (again.status, again.json()) == (409, refusal)
    assert [(each.status, each.json()) for each in unknown] == [
        (404, {"error": "recipe not found: none@v1"}),
        (404, {"error": f"recipe not found: {unique_goal}@none"}),
    ]
    assert stands(lab.app_sql, done) == before
    assert len(tries(lab.app_sql, done)) == 1


@pytest.mark.claim("S12.flake-refused")
def test_an_agent_that_changes_its_mind_makes_a_flake(shop: Workshop, unique_goal: str) -> None:
    stack = shop.stack
    plan: dict[str, Any] = {"design": [], "files": [], "tests": []}
    says = {"id": "says", "kind": "regex", "artifact": PLAN, "re": "nothing new"}
    shop.set_answer("plan", unique_goal, **plan, risks=["nothing new"])
    flaky = candidate(stack.api, spec(stack.app_sql, unique_goal, eval=[says]))

    with ThreadPoolExecutor(1) as pool:
        with first_round_held(stack):  # it is over, but for its record
            asked = pool.submit(promote_version, stack.api, flaky)
            eventually(lambda: bool(stack.admin.execute(WAITING)), deadline_s=ENDS_S)
            shop.set_answer("plan", unique_goal, **plan, risks=["something else"])
        answer = asked.result(GIVE_UP_S)
    stack.admin.execute(LET_GO)

    why = "flaky check says of fixture f1: regex:ok then regex:miss"
    assert (answer.status, answer.json()["code"]) == (409, "promotion_flaky")
    assert answer.json()["error"] == f"recipe {unique_goal}@v1 was not promoted: {why}"
    rows = read_findings(stack.app_sql, flaky)
    assert [(row["round"], row["pass"], row["reason"]) for row in rows] == [
        (1, True, "regex:ok"),
        (2, False, "regex:miss"),
    ]
    (promotion,) = tries(stack.app_sql, flaky)
    assert promotion["state"] == "flaky"
    assert len(set(promotion["outcome_hashes"])) == 2
    now = stands(stack.app_sql, flaky)
    assert (now["status"], now["active_v"]) == ("candidate", None)


@pytest.mark.claim("S12.pinned-survives")
def test_a_parked_run_keeps_its_version_when_the_pointer_moves(
    lab: Stack, unique_goal: str
) -> None:
    template = {"goal": "one: {{formData.goal}}", "inputs": {}, "constraints": {}}
    one = spec(lab.app_sql, unique_goal, "v1", intentTmpl=template)
    ref = stable(lab.api, one)
    workload = {"concurrency": 4, "steps": 1, "sandboxMinutes": 1}  # as v1 allows, and v2 does not
    body = {**start(unique_goal, workload=workload), "recipeRef": ref}
    started = lab.api.post("/api/run", json=body)
    wid = started.json()["workflowID"]
    await_status(lab.api, wid, {"WAITING_INPUT"}, deadline_s=60)
    rendered = {"goal": f"one: {unique_goal}", "inputs": {}, **_primitives()}

    two = {**one, "v": "v2", "intentTmpl": {**template, "goal": "two: {{formData.goal}}"}}
    two["limits"] = {**one["limits"], "maxFanout": 1}
    moved = stable(lab.api, two)
    replay = lab.api.post("/api/run", json=body)
    other = {**start(f"{unique_goal}, other", workload=workload)}
    capped = lab.api.post("/api/run", json={**other, "recipeRef": moved})
    allowed = lab.api.post("/api/run", json={**other, "recipeRef": ref})
    ended = answer_run(lab.api, wid)

    assert stands(lab.app_sql, one)["active_v"] == "v2"
    assert wid == f"ih_{digest(rendered)}"
    assert (started.status, replay.status, replay.json()["isReplay"]) == (201, 200, True)
    assert (capped.status, capped.json()["error"]) == (
        400,
        "recipe cap exceeded: concurrency 4 > 1",
    )
    assert allowed.status == 201
    assert ended["status"] == "SUCCESS"
    assert (ended["recipeRef"], ended["recipeHash"]) == (ref, digest(one))
    assert lab.app_sql.one(RUN, w=wid) == {
        "recipe_v": "v1",
        "recipe_hash": digest(one),
        "intent_hash": digest(rendered),
        "status": "succeeded",
    }
    assert lab.app_sql.value(TASKS, w=wid) >= 1
    assert lab.api.post("/api/run", json=body).status == 200


def _primitives() -> dict[str, Any]:
    """What an intent has whose template names no library: all eight."""
    return {"constraints": {"stepLibrary": {"primitives": [*identity.PRIMITIVES, "Legacy"]}}}


@pytest.mark.claim("S12.seed-evals-pass")
def test_every_seed_passes_its_own_evals_twice_alike(lab: Stack, unique_goal: str) -> None:
    seeds = [lab.app_sql.value(SEED, id=name) for name in SEEDED]
    # The seeds are stable and run no more: the same specs under versions of their own are.
    again = [{**seed, "v": f"v1 for {unique_goal}"} for seed in seeds]
    pointers = {seed["id"]: stands(lab.app_sql, seed)["active_v"] for seed in seeds}
    try:
        assert import_specs(lab.api, *again).status == 201
        steps = [[promote_version(lab.api, each).status for each in again] for _ in range(2)]
        rows = {each["id"]: read_findings(lab.app_sql, each) for each in again}
        ended = [tries(lab.app_sql, each) for each in again]
    finally:
        for name, v in pointers.items():
            lab.admin.execute(
                "UPDATE app.recipes SET active_v = %(v)s WHERE id = %(id)s", v=v, id=name
            )

    assert steps == [[200] * 10, [200] * 10]
    for each in again:
        assert results(rows[each["id"]]) == due(each)
        assert len(due(each)) >= 2
        assert all(row["pass"] for row in rows[each["id"]])
        hashes = {row["fixture_id"]: row["intent_hash"] for row in rows[each["id"]]}
        assert hashes == intents(each)
    for (promotion,) in ended:
        assert promotion["state"] == "passed"
        assert len(set(promotion["outcome_hashes"])) == 1
