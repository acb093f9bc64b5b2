from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.engine.shim_process import Shim, start_body

GOLDEN = "a30ab70989358cd5dcff0c2d5c98db9a86a6258cb8de107f7a8a738a99dac539"
BUDGET = {
    "maxFanout": 4,
    "maxSBXMinutes": 5,
    "maxArtifactsMB": 5,
    "maxRetriesPerStep": 1,
    "maxWallClockMS": 60_000,
}
WORKLOAD = {"concurrency": 1, "steps": 1, "sandboxMinutes": 1}


def test_a_first_start_is_201_and_leaves_one_row_in_each_table(shim: Shim) -> None:
    body = start_body("spec11 tutorial")
    body["formData"]["tenant"] = "acme"

    answer = shim.http.post("/api/run", json=body)

    header = answer.json()
    assert answer.status_code == 201
    assert header["workflowID"] == f"ih_{GOLDEN}"
    assert header["runId"] == "run_53356a23f0560fb9a31d64987afacf82"
    assert (header["status"], header["durableStatus"]) == ("ENQUEUED", "queued")
    assert (header["isReplay"], header["retryCount"]) == (False, 0)
    assert (header["queue"], header["priority"], header["workflowVersion"]) == ("intentQ", 1, "v1")
    [row] = shim.rows("SELECT * FROM app.runs WHERE workflow_id = %s", f"ih_{GOLDEN}")
    assert (row["execution_id"], row["gate_ttl_s"]) == (f"ih_{GOLDEN}", 3600)
    [queued] = shim.rows(
        "SELECT * FROM dbos.workflow_status WHERE workflow_uuid = %s", f"ih_{GOLDEN}"
    )
    assert (queued["name"], queued["status"], queued["queue_name"]) == (
        "RunIntent",
        "ENQUEUED",
        "intentQ",
    )
    assert (queued["queue_partition_key"], queued["priority"]) == ("acme", 1)
    [given] = shim.rows(
        "SELECT inputs::json->'namedArgs' AS args FROM dbos.workflow_input"
        " WHERE workflow_uuid = %s",
        f"ih_{GOLDEN}",
    )
    assert given["args"] == {"workflow_id": f"ih_{GOLDEN}"}


def test_a_repeat_is_200_and_writes_nothing(own_shim: Shim) -> None:
    first = own_shim.start("again", budget=BUDGET, workload=WORKLOAD, timeoutMS=5)
    before = own_shim.digest()

    again = own_shim.start("again", budget=BUDGET, workload=WORKLOAD, timeoutMS=5, traceId="t2")

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == {**first.json(), "isReplay": True}
    stored = own_shim.http.get(f"/api/runs/{first.json()['runId']}").json()
    assert stored == {key: again.json()[key] for key in stored}
    assert own_shim.digest() == before


def test_the_compat_door_obeys_the_same_law(shim: Shim) -> None:
    wid = shim.start("compat").json()["workflowID"]

    same = shim.http.post("/api/runs", json={"intentId": wid, "queuePartitionKey": "acme"})
    other = shim.http.post("/api/runs", json={"intentId": wid, "queuePartitionKey": "evil"})
    none = shim.http.post("/api/runs", json={"intentId": "ih_x", "queuePartitionKey": "acme"})

    assert (same.status_code, same.json()["isReplay"]) == (200, True)
    assert [item["field"] for item in other.json()["drift"]] == ["queue_partition_key"]
    assert (none.status_code, none.json()["error"]) == (404, "intent not found: ih_x")


def test_an_intent_without_a_run_starts_under_its_own_recipe_alone(shim: Shim) -> None:
    wid = shim.start("orphan").json()["workflowID"]
    shim.run("DELETE FROM app.runs WHERE workflow_id = %s", wid)
    shim.run("UPDATE app.intents SET recipe_v = 'v0' WHERE id = %s", wid)

    refused = shim.start("orphan")
    shim.run("UPDATE app.intents SET recipe_v = 'v1' WHERE id = %s", wid)
    healed = shim.http.post("/api/runs", json={"intentId": wid, "queuePartitionKey": "acme"})

    drift = {"field": "recipe_v", "existing": "v0", "incoming": "v1"}
    assert (refused.status_code, refused.json()["drift"]) == (409, [drift])
    assert (healed.status_code, healed.json()["isReplay"]) == (201, False)


def test_any_encoding_of_a_form_is_one_run(shim: Shim) -> None:
    head = '"recipeRef":{"v":"v1","id":"seed.r08"},"opts":{"queuePartitionKey":"a"}'
    forms = ['{"topic":"\\u0061b","size":1}', '{ "size" : 1.0, "topic" : "ab" }']

    answers = [shim.http.post("/api/run", content=f'{{"formData":{f},{head}}}') for f in forms]

    assert [answer.status_code for answer in answers] == [201, 200]
    assert len({answer.json()["workflowID"] for answer in answers}) == 1


def test_null_is_absent(shim: Shim) -> None:
    names = ("traceId", "queueName", "lane", "priority", "deduplicationID", "timeoutMS")
    more = ("recipeName", "recipeVersion", "workload", "tenantId", "taskKey", "budget")
    nulls: dict[str, Any] = dict.fromkeys((*names, *more))

    first, again = shim.start("nulls"), shim.start("nulls", **nulls)

    assert (first.status_code, again.status_code) == (201, 200)
    body = start_body("nulls") | {"opts": None}
    assert shim.http.post("/api/run", json=body).json()["code"] == "queue_policy_violation"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"tenantId": "t"}, "tenant_id"),
        ({"queuePartitionKey": "other"}, "queue_partition_key"),
        *(({"budget": BUDGET | {name: BUDGET[name] + 1}}, "budget") for name in BUDGET),
        ({"lane": "batch"}, "lane"),
        ({"priority": 2}, "priority"),
        ({"workload": WORKLOAD | {"steps": 2}}, "workload"),
        ({"timeoutMS": 6}, "timeout_ms"),
    ],
)
def test_each_difference_is_a_409_that_names_it(
    shim: Shim, change: dict[str, Any], field: str
) -> None:
    stored = {"budget": BUDGET, "workload": WORKLOAD, "timeoutMS": 5}
    wid = shim.start("drift", **stored).json()["workflowID"]

    refused = shim.start("drift", **(stored | change))

    assert (refused.status_code, refused.json()["code"]) == (409, "run_identity_conflict")
    [drift] = refused.json()["drift"]
    assert drift["field"] == field
    assert drift["existing"] != drift["incoming"]
    assert refused.json()["error"] == f"Divergence in run {wid}: identity drift on {field}"


def test_another_recipe_with_the_same_intent_is_drift(own_shim: Shim) -> None:
    own_shim.run(
        "INSERT INTO app.recipe_versions (id, v, hash, status, json) SELECT id, 'v2',"
        " repeat('a', 64), 'stable', json FROM app.recipe_versions WHERE id = 'compile-default'"
    )
    own_shim.start("twice")
    body = start_body("twice") | {"recipeRef": {"id": "compile-default", "v": "v2"}}

    refused = own_shim.http.post("/api/run", json=body)

    assert [d["field"] for d in refused.json()["drift"]] == ["recipe_v", "recipe_hash"]


def test_a_hundred_identical_starts_are_one_run(shim: Shim) -> None:
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: shim.start("race"), range(100)))

    codes = sorted(answer.status_code for answer in answers)
    assert codes == [200] * 99 + [201]
    wid = answers[0].json()["workflowID"]
    assert len(shim.rows("SELECT 1 FROM app.runs WHERE workflow_id = %s", wid)) == 1
    assert len(shim.rows("SELECT 1 FROM dbos.workflow_status WHERE workflow_uuid = %s", wid)) == 1


def test_of_two_wishes_for_one_run_one_is_stored_entirely(shim: Shim) -> None:
    def one(number: int) -> tuple[str, int]:
        side = "left" if number % 2 else "right"
        return side, shim.start("mixed", queuePartitionKey=side).status_code

    with ThreadPoolExecutor(20) as pool:
        seen = list(pool.map(one, range(60)))

    [kept] = shim.rows(
        "SELECT queue_partition_key FROM app.runs r JOIN app.intents i"
        " ON i.id = r.intent_id WHERE i.goal LIKE 'Goal: mixed%%'"
    )
    winner = kept["queue_partition_key"]
    assert {code for side, code in seen if side == winner} == {200, 201}
    assert {code for side, code in seen if side != winner} == {409}


def test_a_refused_enqueue_leaves_nothing_and_heals(own_shim: Shim) -> None:
    own_shim.run("ALTER FUNCTION dbos.enqueue_workflow RENAME TO hidden")
    before = own_shim.digest()

    broken = own_shim.start("heals")
    after = own_shim.digest()
    own_shim.run("ALTER FUNCTION dbos.hidden RENAME TO enqueue_workflow")

    assert (broken.status_code, broken.json()) == (500, {"error": "internal error"})
    assert after == before
    assert own_shim.start("heals").status_code == 201


def test_every_seeded_recipe_turns_two_forms_into_two_runs(shim: Shim) -> None:
    recipes = [row["id"] for row in shim.http.get("/api/recipes").json()]
    assert len(recipes) == 10
    for name in recipes:
        goal = {"goal": "g"} if name == "compile-default" else {}
        bodies = [
            {
                "recipeRef": {"id": name, "v": "v1"},
                "formData": {**goal, "topic": topic},
                "opts": {"queuePartitionKey": "a"},
            }
            for topic in ("one", "two")
        ]
        answers = [shim.http.post("/api/run", content=json.dumps(body)) for body in bodies]
        assert [answer.status_code for answer in answers] == [201, 201], name
        assert len({answer.json()["workflowID"] for answer in answers}) == 2
