"""S01: every id is what the prover computes by itself from what was sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from pytest_spec11.canon import canonical, digest
from pytest_spec11.oracles.files import Files
from pytest_spec11.oracles.http import Api
from pytest_spec11.oracles.sql import Sql
from pytest_spec11.stacks import Stack
from scenarios.support.contract import identity, recipes
from scenarios.support.contract.recipes import SEEDED
from scenarios.support.contract.seeded_values import texts
from scenarios.support.contract.start_requests import PARTITION, RECIPE, reply, start
from scenarios.support.runs.run_lifecycle import PARK_S, await_status

pytestmark = pytest.mark.S01
GOLDEN = Path(__file__).with_name("golden.json")
INTENT = "SELECT intent_hash, json::text AS text FROM app.intents WHERE id = %(w)s"
ANSWER = "SELECT gate_key, payload_hash FROM app.human_interactions WHERE workflow_id = %(w)s"
GATE = "SELECT gate_key FROM app.human_gates WHERE run_id = %(r)s"
FORM = {
    "type": "object",
    "properties": {"goal": {"type": "string"}, "value": {}},
    "required": ["goal", "value"],
}
LIBRARY = {"stepLibrary": {"primitives": identity.PRIMITIVES}}


@pytest.mark.claim("S01.golden-identity")
def test_the_courses_run_has_the_ids_that_the_course_prints(
    api: Api, app_sql: Sql, files: Files
) -> None:
    golden = _golden(files)
    course, payload = golden["course"], golden["payload"]
    wid, opts = f"ih_{course['intentHash']}", {"queuePartitionKey": PARTITION}
    body = {"recipeRef": RECIPE, "formData": course["form"], "opts": opts}

    header = api.post("/api/run", json=body).json()
    await_status(api, wid, {"WAITING_INPUT"}, deadline_s=PARK_S)
    gate = api.get(f"/api/runs/{wid}/gates").json()[0]["gateKey"]
    api.post(f"/api/runs/{wid}/gates/{gate}/reply", json=reply(payload["value"]["choice"]))

    assert (header["intentHash"], header["workflowID"]) == (course["intentHash"], wid)
    assert (header["runId"], gate) == (course["runId"], course["gateKey"])
    stored = app_sql.one(INTENT, w=wid)
    assert stored["intent_hash"] == digest(json.loads(stored["text"])) == course["intentHash"]
    assert app_sql.value(GATE, r=course["runId"]) == course["gateKey"]
    assert app_sql.one(ANSWER, w=wid) == {
        "gate_key": course["gateKey"],
        "payload_hash": payload["sha256"],
    }


@pytest.mark.claim("S01.golden-identity")
def test_the_provers_own_code_makes_every_golden_id(files: Files) -> None:
    golden = _golden(files)
    course = golden["course"]

    printed = {one["name"]: canonical(json.loads(one["json"])) for one in golden["canonical"]}

    assert printed == {one["name"]: one["text"].encode() for one in golden["canonical"]}
    assert digest(golden["payload"]["value"]) == golden["payload"]["sha256"]
    assert identity.intent_hash(course["form"]["goal"]) == course["intentHash"]
    run = identity.run_id(f"ih_{course['intentHash']}")
    assert run == course["runId"]
    assert identity.gate_key(run) == course["gateKey"]
    assert identity.gate_key(run, "CompileST", "ask-user") == course["askGateKey"]
    assert identity.gate_key(run, "ApplyPatchST", "parallel-1") == course["parallelGateKey"]


@pytest.mark.claim("S01.golden-identity")
def test_every_golden_value_in_a_form_is_hashed_as_its_canonical_text(
    idle: Stack, files: Files, unique_goal: str
) -> None:
    ours = recipes.spec(idle.app_sql)
    template = {
        "goal": "{{formData.goal}}",
        "inputs": {"value": "{{formData.value}}"},
        "constraints": LIBRARY,
    }
    spec = {**ours, "id": "golden", "formSchema": FORM, "intentTmpl": template}
    recipes.plant(idle, spec)

    for vector in _golden(files)["canonical"]:
        goal = f"{unique_goal} {vector['name']}"
        wid = f"ih_{_spelt_hash(goal, vector['text'])}"
        sent = idle.api.request("POST", "/api/run", content=_spelt_start(goal, vector["json"]))
        again = {"intentId": wid, "queuePartitionKey": PARTITION}
        restarted = idle.api.post("/api/runs", json=again)

        assert (sent.status, sent.json()["workflowID"]) == (201, wid)
        assert (restarted.status, restarted.json()["workflowID"]) == (200, wid)
        stored = idle.app_sql.one(INTENT, w=wid)
        assert f"ih_{stored['intent_hash']}" == wid
        assert f"ih_{digest(identity.reread(stored['text']))}" == wid


def _spelt_hash(goal: str, value: str) -> str:
    """The hash of the intent of ``goal`` and the canonical text ``value``, put together by hand."""
    library = canonical(LIBRARY).decode()
    text = f'{{"constraints":{library},"goal":{json.dumps(goal)},"inputs":{{"value":{value}}}}}'
    return sha256(text.encode()).hexdigest()


def _spelt_start(goal: str, value: str) -> str:
    """A start of the planted recipe whose value is spelt like this."""
    form = f'{{"goal": {json.dumps(goal)}, "value": {value}}}'
    ref, opts = '{"id": "golden", "v": "v1"}', json.dumps({"queuePartitionKey": PARTITION})
    return f'{{"recipeRef": {ref}, "formData": {form}, "opts": {opts}}}'


@pytest.mark.claim("S01.golden-identity")
def test_two_hundred_generated_forms_have_the_ids_that_the_prover_computes(
    idle: Stack, unique_goal: str
) -> None:
    forms = [(f"{unique_goal} {goal}", topic) for goal, topic in texts(unique_goal, 200)]
    wanted = [identity.workflow_id(goal, topic) for goal, topic in forms]

    sent = [idle.api.post("/api/run", json=start(g, form={"topic": t})) for g, t in forms]

    assert [each.json()["workflowID"] for each in sent] == wanted
    stored = idle.app_sql.rows(
        "SELECT workflow_id, r.id, i.intent_hash, json FROM app.runs r"
        " JOIN app.intents i ON i.id = workflow_id WHERE workflow_id = ANY(%(all)s)",
        all=wanted,
    )
    inputs = {row["workflow_id"]: row["json"]["inputs"] for row in stored}
    assert inputs == {
        wid: {"goal": goal, "topic": topic}
        for wid, (goal, topic) in zip(wanted, forms, strict=True)
    }
    assert all(row["id"] == identity.run_id(row["workflow_id"]) for row in stored)
    assert all(f"ih_{row['intent_hash']}" == row["workflow_id"] for row in stored)
    assert all(digest(row["json"]) == row["intent_hash"] for row in stored)


@pytest.mark.claim("S01.form-enters-identity")
def test_another_goal_or_topic_is_another_run_and_a_default_is_not(
    api: Api, app_sql: Sql, unique_goal: str
) -> None:
    def post_start(goal: str, **form: str) -> tuple[int, str]:
        sent = api.post("/api/run", json=start(goal, form=form))
        return sent.status, sent.json()["workflowID"]

    plain = identity.workflow_id(unique_goal)
    beta = identity.workflow_id(unique_goal, "beta")
    other = identity.workflow_id(f"{unique_goal} again")
    assert post_start(unique_goal) == (201, plain)
    assert post_start(unique_goal, topic="alpha") == (200, plain)
    assert post_start(unique_goal, topic="beta") == (201, beta)
    assert post_start(f"{unique_goal} again") == (201, other)
    kept = app_sql.rows(
        "SELECT workflow_id FROM app.runs WHERE workflow_id = ANY(%(all)s)",
        all=[plain, beta, other],
    )
    assert {row["workflow_id"] for row in kept} == {plain, beta, other}
    assert len({plain, beta, other}) == 3


@pytest.mark.claim("S01.form-enters-identity")
def test_every_seeded_recipe_gives_two_forms_two_runs(
    api: Api, app_sql: Sql, unique_goal: str
) -> None:
    seeded = app_sql.rows("SELECT id, v, json FROM app.recipe_versions WHERE status = 'stable'")
    assert {row["id"] for row in seeded} >= {*SEEDED}

    for row in seeded:
        made = [_start_recipe(api, row, f"{unique_goal} {row['id']} {side}") for side in "ab"]
        assert made[0] != made[1]


def _start_recipe(api: Api, recipe: dict[str, Any], text: str) -> str:
    """The workflow id of a start of ``recipe`` whose required or only field is ``text``."""
    fields: Callable[[str], bool] = recipe["json"]["formSchema"]["properties"].__contains__
    form = {"goal" if fields("goal") else "topic": text}
    ref = {"id": recipe["id"], "v": recipe["v"]}
    body = {"recipeRef": ref, "formData": form, "opts": {"queuePartitionKey": PARTITION}}
    sent = api.post("/api/run", json=body)
    wanted = f"ih_{digest(identity.instantiate_intent(recipe['json'], form))}"
    assert (sent.status, sent.json()["workflowID"]) == (201, wanted)
    return wanted


def _golden(files: Files) -> Any:
    data = files.read(GOLDEN)
    assert data is not None
    return json.loads(data)
