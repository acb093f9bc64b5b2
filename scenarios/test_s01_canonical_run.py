"""S01: one start, its identity stored as computed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_spec11.canon import canonical, digest
from pytest_spec11.oracles.files import Files
from pytest_spec11.oracles.http import Api
from pytest_spec11.oracles.sql import Sql
from scenarios import identity
from scenarios.generated import texts
from scenarios.headers import HEADER_KEYS
from scenarios.intents import PARTITION, RECIPE, start

pytestmark = pytest.mark.S01
GOLDEN = Path(__file__).with_name("golden.json")
RUN = "SELECT * FROM app.runs WHERE workflow_id = %(w)s"
INTENT = "SELECT * FROM app.intents WHERE id = %(w)s"
WORKFLOW = "SELECT * FROM dbos.workflow_status WHERE workflow_uuid = %(w)s"
BUDGET = {
    "maxFanout": 4,
    "maxSBXMinutes": 15,
    "maxArtifactsMB": 8,
    "maxRetriesPerStep": 2,
    "maxWallClockMS": 600_000,
}
PRIORITIES = {"interactive": 1, "batch": 1000}
WORKLOAD = {"concurrency": 2, "steps": 8, "sandboxMinutes": 5}


@pytest.mark.claim("S01.start-201-header")
def test_a_first_start_is_201_with_the_whole_header_and_nothing_else(
    api: Api, app_sql: Sql, unique_goal: str
) -> None:
    reply = api.post("/api/run", json=start(unique_goal))

    header = reply.json()
    assert (reply.status, set(header)) == (201, HEADER_KEYS | {"isReplay"})
    hashed = identity.intent_hash(unique_goal)
    assert (header["intentHash"], header["workflowID"]) == (hashed, f"ih_{hashed}")
    assert header["isReplay"] is False
    assert (header["status"], header["durableStatus"]) == ("ENQUEUED", "queued")
    assert (header["retryCount"], header["queue"], header["priority"]) == (0, "intentQ", 1)
    assert header["recipeRef"] == RECIPE
    stored = app_sql.value(
        "SELECT hash FROM app.recipe_versions WHERE id = 'compile-default' AND v = 'v1'"
    )
    assert header["recipeHash"] == stored


@pytest.mark.claim("S01.golden-identity")
def test_the_courses_form_has_the_ids_that_the_course_prints(
    api: Api, app_sql: Sql, files: Files
) -> None:
    golden = _golden(files)
    course = golden["course"]
    run = identity.run_id(f"ih_{course['intentHash']}")

    header = api.post(
        "/api/run",
        json={
            "recipeRef": RECIPE,
            "formData": course["form"],
            "opts": {"queuePartitionKey": PARTITION, "lane": "interactive"},
        },
    ).json()

    assert identity.intent_hash(course["form"]["goal"]) == course["intentHash"]
    assert (header["intentHash"], header["runId"]) == (course["intentHash"], course["runId"])
    assert run == course["runId"]
    assert identity.gate_key(run) == course["gateKey"]
    assert identity.gate_key(run, "CompileST", "ask-user") == course["askGateKey"]
    assert identity.gate_key(run, "ApplyPatchST", "parallel-1") == course["parallelGateKey"]
    stored = app_sql.one(INTENT, w=f"ih_{course['intentHash']}")
    assert (stored["intent_hash"], digest(stored["json"])) == (course["intentHash"],) * 2


@pytest.mark.claim("S01.golden-identity")
def test_canonical_json_meets_every_golden_vector(files: Files) -> None:
    golden = _golden(files)

    printed = {one["name"]: canonical(json.loads(one["json"])) for one in golden["canonical"]}

    assert printed == {one["name"]: one["text"].encode() for one in golden["canonical"]}
    assert digest(golden["payload"]["value"]) == golden["payload"]["sha256"]


@pytest.mark.claim("S01.golden-identity")
def test_two_hundred_generated_forms_have_the_ids_that_the_prover_computes(
    api: Api, app_sql: Sql, unique_goal: str
) -> None:
    forms = [(f"{unique_goal} {goal}", topic) for goal, topic in texts(unique_goal, 200)]
    wanted = {identity.workflow_id(goal, topic): goal for goal, topic in forms}

    headers = [api.post("/api/run", json=start(g, form={"topic": t})).json() for g, t in forms]

    assert [each["workflowID"] for each in headers] == [
        identity.workflow_id(goal, topic) for goal, topic in forms
    ]
    stored = app_sql.rows(
        "SELECT workflow_id, r.id, json FROM app.runs r JOIN app.intents i ON i.id = workflow_id"
        " WHERE workflow_id = ANY(%(all)s)",
        all=list(wanted),
    )
    assert {row["workflow_id"]: row["json"]["inputs"]["goal"] for row in stored} == wanted
    assert all(row["id"] == identity.run_id(row["workflow_id"]) for row in stored)
    assert all(f"ih_{digest(row['json'])}" == row["workflow_id"] for row in stored)


@pytest.mark.claim("S01.rows-agree")
@pytest.mark.parametrize("lane", ["interactive", "batch"])
def test_the_stored_rows_hold_what_was_sent(
    api: Api, app_sql: Sql, unique_goal: str, lane: str
) -> None:
    opts: dict[str, Any] = {
        "lane": lane,
        "tenantId": "acme",
        "priority": 7,
        "timeoutMS": 600_000,
        "workload": WORKLOAD,
        "budget": BUDGET,
    }

    header = api.post("/api/run", json=start(unique_goal, **opts)).json()

    w, hashed = identity.workflow_id(unique_goal), identity.intent_hash(unique_goal)
    (run,), (intent,) = app_sql.rows(RUN, w=w), app_sql.rows(INTENT, w=w)
    assert header["workflowID"] == run["workflow_id"] == intent["id"] == run["intent_id"] == w
    assert run["id"] == header["runId"] == identity.run_id(w)
    assert intent["json"] == identity.compiled(unique_goal)
    assert intent["intent_hash"] == run["intent_hash"] == digest(intent["json"]) == hashed
    triple = ("compile-default", "v1", header["recipeHash"])
    for row in (run, intent):
        assert (row["recipe_id"], row["recipe_v"], row["recipe_hash"]) == triple
    assert (run["tenant_id"], run["queue_partition_key"]) == ("acme", PARTITION)
    assert (run["lane"], run["priority"], run["timeout_ms"]) == (lane, 7, 600_000)
    assert (run["workload"], run["budget"]) == (WORKLOAD, BUDGET)


@pytest.mark.claim("S01.engine-row")
@pytest.mark.parametrize("lane", PRIORITIES)
def test_a_start_is_one_engine_row_on_the_intent_queue(
    api: Api, sys_sql: Sql, app_version: str, unique_goal: str, lane: str
) -> None:
    partition = f"tenant-{lane}"
    body = start(unique_goal, lane=lane, queuePartitionKey=partition)

    api.post("/api/run", json=body)

    (row,) = sys_sql.rows(WORKFLOW, w=identity.workflow_id(unique_goal))
    assert (row["queue_name"], row["queue_partition_key"]) == ("intentQ", partition)
    assert (row["name"], row["priority"]) == ("RunIntent", PRIORITIES[lane])
    assert row["application_version"] == app_version


@pytest.mark.claim("S01.form-enters-identity")
def test_another_goal_or_topic_is_another_run_and_a_default_is_not(
    api: Api, app_sql: Sql, unique_goal: str
) -> None:
    def started(goal: str, **form: str) -> tuple[int, str]:
        reply = api.post("/api/run", json=start(goal, form=form))
        return reply.status, reply.json()["workflowID"]

    plain = identity.workflow_id(unique_goal)
    assert started(unique_goal) == (201, plain)
    assert started(unique_goal, topic="alpha") == (200, plain)
    assert started(unique_goal, topic="beta") == (201, identity.workflow_id(unique_goal, "beta"))
    other = f"{unique_goal} again"
    assert started(other) == (201, identity.workflow_id(other))
    kept = app_sql.value(
        "SELECT count(DISTINCT workflow_id) FROM app.runs WHERE workflow_id = ANY(%(all)s)",
        all=[plain, identity.workflow_id(unique_goal, "beta"), identity.workflow_id(other)],
    )
    assert kept == 3


@pytest.mark.claim("S01.form-enters-identity")
def test_every_seeded_recipe_gives_two_forms_two_runs(
    api: Api, app_sql: Sql, unique_goal: str
) -> None:
    seeded = app_sql.rows("SELECT id, v, json FROM app.recipe_versions WHERE status = 'stable'")
    assert {row["id"] for row in seeded} >= {"compile-default"} | {
        f"seed.r{number:02}" for number in range(2, 11)
    }

    for row in seeded:
        made = [_started(api, row, f"{unique_goal} {row['id']} {side}") for side in "ab"]
        assert made[0] != made[1]


def _started(api: Api, recipe: dict[str, Any], text: str) -> str:
    """The workflow id of a start of ``recipe`` whose required or only field is ``text``."""
    fields: Callable[[str], bool] = recipe["json"]["formSchema"]["properties"].__contains__
    form = {"goal" if fields("goal") else "topic": text}
    ref = {"id": recipe["id"], "v": recipe["v"]}
    body = {"recipeRef": ref, "formData": form, "opts": {"queuePartitionKey": PARTITION}}
    reply = api.post("/api/run", json=body)
    wanted = f"ih_{digest(identity.instantiated(recipe['json'], form))}"
    assert (reply.status, reply.json()["workflowID"]) == (201, wanted)
    return wanted


def _golden(files: Files) -> Any:
    data = files.read(GOLDEN)
    assert data is not None
    return json.loads(data)
