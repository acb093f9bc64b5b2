from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.engine.shim_process import Shim

REPLAY = {"ok": True, "isReplay": True}
FIRST = {"ok": True, "isReplay": False}
SECOND_GATE = """
INSERT INTO app.human_gates (run_id, gate_key, workflow_id, topic, listen_topic, step_id, purpose,
                             prompt, created_at, deadline_at)
SELECT run_id, %s, workflow_id, 'human:' || %s, listen_topic, step_id, purpose, prompt, created_at,
       deadline_at
FROM app.human_gates WHERE workflow_id = %s
"""


def event(wid: str, gate: str, **more: object) -> dict[str, Any]:
    return {
        "workflowId": wid,
        "gateKey": gate,
        "topic": f"human:{gate}",
        "payload": {"choice": "yes"},
        "dedupeKey": "e1",
        "origin": "webhook-ci",
        **more,
    }


def send_event(shim: Shim, wid: str, gate: str, **more: object) -> httpx.Response:
    return shim.http.post("/api/events/hitl", json=event(wid, gate, **more))


def test_an_event_is_ledger_gate_and_message_at_once(shim: Shim) -> None:
    wid, gate = shim.park_run("event")

    given = send_event(shim, wid, gate)

    assert (given.status_code, given.json()) == (200, FIRST)
    [row] = shim.rows("SELECT * FROM app.human_interactions WHERE workflow_id = %s", wid)
    assert (row["topic"], row["dedupe_key"], row["origin"]) == (f"human:{gate}", "e1", "webhook-ci")
    [message] = shim.rows("SELECT * FROM dbos.notifications WHERE destination_uuid = %s", wid)
    assert json.loads(message["message"]) == {"choice": "yes"}
    assert shim.http.get(f"/api/runs/{wid}/gates/{gate}").json()["state"] == "RECEIVED"


def test_a_run_id_names_the_run_and_the_ledger_keeps_its_workflow_id(shim: Shim) -> None:
    wid, gate = shim.park_run("by run id")
    [run] = shim.rows("SELECT id FROM app.runs WHERE workflow_id = %s", wid)

    seen = [send_event(shim, name, gate).json() for name in (run["id"], wid)]

    assert seen == [FIRST, REPLAY]
    [row] = shim.rows("SELECT * FROM app.human_interactions WHERE run_id = %s", run["id"])
    assert row["workflow_id"] == wid


def test_both_doors_share_one_ledger(shim: Shim) -> None:
    wid, gate = shim.park_run("two doors")
    reply = {"payload": {"choice": "yes"}, "dedupeKey": "e1", "origin": "manual"}

    first = shim.http.post(f"/api/runs/{wid}/gates/{gate}/reply", json=reply)
    again = send_event(shim, wid, gate)
    other = send_event(shim, wid, gate, dedupeKey="e2")
    drift = send_event(shim, wid, gate, payload={"choice": "no"})

    assert (first.json(), again.json()) == (FIRST, REPLAY)
    assert (other.status_code, other.json()["code"]) == (409, "gate_already_answered")
    assert (drift.status_code, drift.json()["code"]) == (409, "dedupe_conflict")
    [row] = shim.http.get(f"/api/runs/{wid}/interactions").json()
    assert row["origin"] == "manual"


def test_replies_racing_events_are_one_answer(shim: Shim) -> None:
    wid, gate = shim.park_run("race of doors")
    reply = {"payload": {"choice": "yes"}, "dedupeKey": "e1", "origin": "manual"}
    doors = [(f"/api/runs/{wid}/gates/{gate}/reply", reply), ("/api/events/hitl", event(wid, gate))]

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda door: shim.http.post(door[0], json=door[1]), doors * 10))

    assert [answer.status_code for answer in answers] == [200] * 20
    assert sorted(answer.json()["isReplay"] for answer in answers) == [False] + [True] * 19


@pytest.mark.parametrize("end", ["waiting_input", "succeeded", "failed", "canceled"])
def test_an_event_is_a_replay_for_ever(shim: Shim, end: str) -> None:
    wid, gate = shim.park_run(f"event for ever {end}")
    send_event(shim, wid, gate)
    shim.run("UPDATE app.runs SET status = %s WHERE workflow_id = %s", end, wid)
    before = shim.digest()

    assert send_event(shim, wid, gate, origin="unknown").json() == REPLAY
    assert shim.digest() == before


@pytest.mark.parametrize(
    "name", ["workflowId", "gateKey", "topic", "payload", "dedupeKey", "origin"]
)
def test_every_name_is_required(shim: Shim, name: str) -> None:
    wid, gate = shim.park_run(f"required {name}")
    body = event(wid, gate)
    del body[name]

    refused = shim.http.post("/api/events/hitl", json=body)

    assert refused.status_code == 400
    assert refused.json()["error"] == "invalid ExternalEvent: 1 fault"
    assert [fault["pointer"] for fault in refused.json()["details"]] == [f"/{name}"]


@pytest.mark.parametrize(
    ("more", "pointer"),
    [
        ({"topic": "Human:x"}, "/topic"),
        ({"topic": "human:"}, "/topic"),
        ({"topic": "human:-x"}, "/topic"),
        ({"topic": "human:x\n"}, "/topic"),
        ({"topic": "bot:x"}, "/topic"),
        ({"topic": "sys:" + "x" * 129}, "/topic"),
        ({"topic": "human:" + "x" * 129}, "/topic"),
        ({"topic": "sys:patch"}, "/topic"),
        ({"gateKey": "G"}, "/gateKey"),
        ({"gateKey": "g" * 129}, "/gateKey"),
        ({"workflowId": ""}, "/workflowId"),
        ({"origin": "legacy"}, "/origin"),
        ({"payload": {"choice": "perhaps"}}, "/payload"),
        ({"bogus": 1}, "/bogus"),
    ],
)
def test_what_breaks_the_law_of_events_is_400_and_writes_nothing(
    shim: Shim, more: dict[str, Any], pointer: str
) -> None:
    wid, gate = shim.park_run(f"law {more}")
    before = shim.digest()

    refused = send_event(shim, wid, gate, **more)

    assert refused.status_code == 400
    assert [fault["pointer"] for fault in refused.json()["details"]] == [pointer]
    assert shim.digest() == before


def test_another_gates_topic_is_409_before_anything_is_looked_for(shim: Shim) -> None:
    wid, gate = shim.park_run("mismatch")
    before = shim.digest()

    wrong = [
        send_event(shim, name, key, topic="human:wrong")
        for name, key in ((wid, gate), ("ih_x", "g"))
    ]

    assert [answer.status_code for answer in wrong] == [409, 409]
    assert [answer.json() for answer in wrong] == [
        {"error": f"topic/gate mismatch for {key}", "code": "topic_mismatch"} for key in (gate, "g")
    ]
    assert shim.digest() == before


def test_a_gate_with_another_topic_than_its_own_takes_no_answer_by_any_door(shim: Shim) -> None:
    wid, gate = shim.park_run("planted topic")
    shim.run("UPDATE app.human_gates SET topic = 'human:else' WHERE workflow_id = %s", wid)
    reply = {"payload": {"choice": "yes"}, "dedupeKey": "e1", "origin": "manual"}

    refused = [
        send_event(shim, wid, gate),
        shim.http.post(f"/api/runs/{wid}/gates/{gate}/reply", json=reply),
    ]

    assert [(each.status_code, each.json()["code"]) for each in refused] == [
        (409, "topic_mismatch")
    ] * 2
    assert shim.http.get(f"/api/runs/{wid}/interactions").json() == []


def test_the_accepted_key_under_another_topic_is_drift(shim: Shim) -> None:
    wid, gate = shim.park_run("topic drift")
    send_event(shim, wid, gate)
    before = shim.digest()

    other = send_event(shim, wid, gate, topic="sys:patch")

    assert (other.status_code, other.json()["code"]) == (409, "dedupe_conflict")
    assert shim.digest() == before


def test_a_system_topic_counts_where_something_waits_on_it(shim: Shim) -> None:
    wid, gate = shim.park_run("system topic")
    shim.run("UPDATE app.human_gates SET listen_topic = 'sys:patch' WHERE workflow_id = %s", wid)

    assert send_event(shim, wid, gate, topic="sys:patch").json() == FIRST
    [message] = shim.rows("SELECT * FROM dbos.notifications WHERE destination_uuid = %s", wid)
    [kept] = shim.http.get(f"/api/runs/{wid}/interactions").json()
    assert (message["topic"], kept["topic"]) == ("sys:patch", "sys:patch")


def test_of_two_gates_that_share_an_ear_each_takes_its_own_topic_only(shim: Shim) -> None:
    wid, first = shim.park_run("shared ear")
    second = "s" * 128
    shim.run(SECOND_GATE, second, second, wid)

    assert send_event(shim, wid, second, topic=f"human:{first}").status_code == 409
    assert send_event(shim, wid, second).json() == FIRST
    assert send_event(shim, wid, first).json() == FIRST
    messages = shim.rows("SELECT topic FROM dbos.notifications WHERE destination_uuid = %s", wid)
    assert [message["topic"] for message in messages] == [f"human:{first}"] * 2


def test_an_early_event_is_404_leaves_no_trace_and_counts_later(shim: Shim) -> None:
    gate = "approve-plan-0123456789abcdef"
    wid = shim.start("early").json()["workflowID"]
    before = shim.digest()

    early = send_event(shim, wid, gate)
    unknown = send_event(shim, "ih_nobody", gate)

    assert (early.status_code, early.json()) == (404, {"error": "gate not found"})
    assert (unknown.status_code, unknown.json()) == (404, {"error": "run not found"})
    assert shim.digest() == before
    shim.park_run("early")
    assert send_event(shim, wid, gate).json() == FIRST


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE app.runs SET status = 'succeeded' WHERE workflow_id = %s",
        "UPDATE app.human_gates SET state = 'CANCELLED' WHERE workflow_id = %s",
        "UPDATE app.human_gates SET deadline_at = now() WHERE workflow_id = %s",
    ],
)
def test_a_late_event_is_409_and_writes_nothing(shim: Shim, statement: str) -> None:
    wid, gate = shim.park_run(f"late event {statement}")
    shim.run(statement, wid)
    before = shim.digest()

    late = send_event(shim, wid, gate)

    assert (late.status_code, late.json()["code"]) == (409, "run_not_waiting")
    assert shim.digest() == before
