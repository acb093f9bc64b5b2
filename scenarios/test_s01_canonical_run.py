"""S01: one start, told and stored as it was sent."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_spec11.canon import digest
from pytest_spec11.oracles.http import Api
from pytest_spec11.oracles.sql import Sql
from scenarios.support.contract import identity
from scenarios.support.contract.headers import POSTURE
from scenarios.support.contract.start_requests import PARTITION, RECIPE, start

pytestmark = pytest.mark.S01
RUN = "SELECT * FROM app.runs WHERE workflow_id = %(w)s"
INTENT = "SELECT * FROM app.intents WHERE id = %(w)s"
WORKFLOW = "SELECT * FROM dbos.workflow_status WHERE workflow_uuid = %(w)s"
STORED = (
    "SELECT hash, (SELECT floor(extract(epoch FROM created_at) * 1000)::bigint FROM app.runs"
    " WHERE workflow_id = %(w)s) AS ms"
    " FROM app.recipe_versions WHERE id = 'compile-default' AND v = 'v1'"
)
BUDGET = {
    "maxFanout": 4,
    "maxSBXMinutes": 15,
    "maxArtifactsMB": 8,
    "maxRetriesPerStep": 2,
    "maxWallClockMS": 600_000,
}
PRIORITIES = {"interactive": 1, "batch": 1000}
WORKLOAD = {"concurrency": 2, "steps": 4, "sandboxMinutes": 5}


@pytest.mark.claim("S01.start-201-header")
def test_a_first_start_is_201_with_the_whole_header_and_nothing_else(
    api: Api, app_sql: Sql, app_version: str, unique_goal: str
) -> None:
    reply = api.post("/api/run", json=start(unique_goal))

    header, w = reply.json(), identity.workflow_id(unique_goal)
    stored = app_sql.one(STORED, w=w)
    assert reply.status == 201
    assert header == {
        "workflowID": w,
        "runId": identity.run_id(w),
        "isReplay": False,
        "recipeRef": RECIPE,
        "recipeHash": stored["hash"],
        "intentHash": identity.intent_hash(unique_goal),
        "status": "ENQUEUED",
        "durableStatus": "queued",
        "workflowName": "RunIntent",
        "workflowVersion": app_version,
        "executionID": w,
        "createdAt": stored["ms"],
        "updatedAt": stored["ms"],
        "queue": "intentQ",
        "queuePartitionKey": PARTITION,
        "lane": "interactive",
        "priority": 1,
        "retryCount": 0,
        **dict.fromkeys(["traceId", "spanId", "nextAction", "lastStep", "error", "output"]),
        "servedBy": None,
        **{name: header[name] for name in POSTURE},
    }


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

    reply = api.post("/api/run", json=start(unique_goal, **opts))

    header, w = reply.json(), identity.workflow_id(unique_goal)
    assert (reply.status, header["workflowID"]) == (201, w)
    (run,), (intent,) = app_sql.rows(RUN, w=w), app_sql.rows(INTENT, w=w)
    assert (run["workflow_id"], run["intent_id"], intent["id"]) == (w, w, w)
    assert run["id"] == header["runId"] == identity.run_id(w)
    assert intent["json"] == identity.compile_intent(unique_goal)
    hashed = identity.intent_hash(unique_goal)
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

    api.post("/api/run", json=start(unique_goal, lane=lane, queuePartitionKey=partition))

    (row,) = sys_sql.rows(WORKFLOW, w=identity.workflow_id(unique_goal))
    assert (row["queue_name"], row["queue_partition_key"]) == ("intentQ", partition)
    assert (row["name"], row["priority"]) == ("RunIntent", PRIORITIES[lane])
    assert row["application_version"] == app_version
