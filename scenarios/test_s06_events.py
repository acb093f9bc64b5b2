"""S06: an event from outside is the reply by another door, under the same law."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_spec11.canon import digest
from pytest_spec11.fixtures import Provokes
from pytest_spec11.oracles.http import Api, Reply
from pytest_spec11.oracles.snapshot import assert_unchanged
from pytest_spec11.oracles.sql import Sql
from pytest_spec11.stacks import Stack
from pytest_spec11.waiting import eventually
from scenarios.support.contract import identity, recipes
from scenarios.support.contract.events import (
    ACCEPTED,
    EVENTS,
    LEDGER,
    NO_TOPICS,
    ORIGINS,
    REPLAYED,
    event,
)
from scenarios.support.contract.inventory import operations
from scenarios.support.contract.start_requests import reply, start
from scenarios.support.faults.holds import hold_answers, meet
from scenarios.support.faults.zero_writes import freeze_worker, zero_writes
from scenarios.support.runs.run_lifecycle import END_S, PARK_S, answer_run, await_status, park_run

pytestmark = pytest.mark.S06
YES = "b84d24ba8de9f13caa5ac3863ee331d23754bdf6b3f92a11fb52848bc1449487"
ENDED = frozenset({"SUCCESS", "ERROR", "CANCELLED"})
LONG_GATE = """
INSERT INTO app.human_gates (run_id, gate_key, workflow_id, topic, listen_topic, step_id, purpose,
                             prompt, created_at, deadline_at)
SELECT run_id, %(g)s, workflow_id, 'human:' || %(g)s, 'human:' || %(g)s, step_id, purpose, prompt,
       created_at, deadline_at
FROM app.human_gates WHERE workflow_id = %(w)s RETURNING gate_key
"""


def gate_of(api: Api, wid: str) -> str:
    """The key of the one gate at which the run waits."""
    (gate,) = api.get(f"/api/runs/{wid}/gates").json()
    key: str = gate["gateKey"]
    return key


def waiting(api: Api, goal: str) -> tuple[str, str]:
    """Workflow id and gate key of a run just started, once it waits for a person."""
    wid = park_run(api, goal)["workflowID"]
    return wid, gate_of(api, wid)


def wait_for_end(api: Api, sys_sql: Sql, wid: str) -> dict[str, Any]:
    """The run's header at its end, which the durable engine has seen, too."""
    header = await_status(api, wid, ENDED, deadline_s=END_S)
    eventually(lambda: _engine_status(sys_sql, wid) == header["status"], deadline_s=5)
    return header


def _engine_status(sys_sql: Sql, wid: str) -> Any:
    query = "SELECT status FROM dbos.workflow_status WHERE workflow_uuid = %(w)s"
    return sys_sql.value(query, w=wid)


def decisions(sys_sql: Sql, wid: str, gate: str) -> list[str]:
    """Every value that the gate's decision event ever had."""
    rows = sys_sql.rows(
        "SELECT value FROM dbos.workflow_events_history"
        " WHERE workflow_uuid = %(w)s AND key = 'decision:' || %(g)s",
        w=wid,
        g=gate,
    )
    return [row["value"] for row in rows]


@pytest.mark.claim("S06.event-accepted")
def test_the_courses_event_is_accepted_and_the_run_succeeds(
    api: Api, app_sql: Sql, sys_sql: Sql, unique_goal: str
) -> None:
    wid, gate = waiting(api, unique_goal)

    accepted = api.post(EVENTS, json=event(wid, gate))

    assert (accepted.status, accepted.json()) == (200, ACCEPTED)
    assert wait_for_end(api, sys_sql, wid)["status"] == "SUCCESS"
    assert app_sql.one(LEDGER, r=identity.run_id(wid)) == {
        "workflow_id": wid,
        "run_id": identity.run_id(wid),
        "gate_key": gate,
        "topic": f"human:{gate}",
        "dedupe_key": f"evt-{wid}-1",
        "origin": "webhook-ci",
        "payload_hash": YES,
    }


@pytest.mark.claim("S06.redelivery-once")
def test_ten_deliveries_are_one_answer(lab: Stack, unique_goal: str) -> None:
    wid, gate = waiting(lab.api, unique_goal)

    def deliver() -> Reply:
        return lab.api.post(EVENTS, json=event(wid, gate))

    with hold_answers(lab, identity.run_id(wid)) as place:
        crowd = meet(place, [deliver] * 5, led_by=2)
    replies = [*crowd.replies(), *(deliver() for _ in range(5))]

    assert [each.status for each in replies] == [200] * 10
    assert sorted(each.json()["isReplay"] for each in replies) == [False] + [True] * 9
    assert wait_for_end(lab.api, lab.sys_sql, wid)["status"] == "SUCCESS"
    assert len(lab.app_sql.rows(LEDGER, r=identity.run_id(wid))) == 1
    assert len(decisions(lab.sys_sql, wid, gate)) == 1


@pytest.mark.claim("S06.topic-mismatch-409")
def test_another_topic_than_the_gates_is_refused(lab: Stack, unique_goal: str) -> None:
    wid, gate = waiting(lab.api, unique_goal)

    with zero_writes(lab):
        wrong = lab.api.post(EVENTS, json=event(wid, gate, topic="human:wrong"))

    assert (wrong.status, wrong.json()["error"]) == (409, f"topic/gate mismatch for {gate}")
    right = lab.api.post(EVENTS, json=event(wid, gate))
    assert (right.status, right.json()) == (200, ACCEPTED)


@pytest.mark.claim("S06.topic-law-400")
def test_a_topic_outside_the_grammar_or_without_a_waiter_is_refused(
    lab: Stack, unique_goal: str
) -> None:
    wid, gate = waiting(lab.api, unique_goal)

    with zero_writes(lab):
        replies = {
            repr(topic): lab.api.post(EVENTS, json=event(wid, gate, topic=topic))
            for topic in [*NO_TOPICS, f"sys:{gate}"]
        }

    assert {topic: each.status for topic, each in replies.items()} == dict.fromkeys(replies, 400)
    named = {topic: [fault["pointer"] for fault in each.json()["details"]]
             for topic, each in replies.items()}  # fmt: skip
    assert named == {topic: ["/topic"] for topic in replies}
    assert lab.app_sql.rows(LEDGER, r=identity.run_id(wid)) == []


@pytest.mark.claim("S06.topic-law-400")
def test_a_gate_key_of_128_characters_is_addressable(lab: Stack, unique_goal: str) -> None:
    wid, gate = waiting(lab.api, unique_goal)
    key = f"g{'-' * 63}:{'_' * 63}"
    assert lab.admin.execute(LONG_GATE, w=wid, g=key) == [{"gate_key": key}]

    accepted = lab.api.post(EVENTS, json=event(wid, key))

    assert (len(key), accepted.status, accepted.json()) == (128, 200, ACCEPTED)
    (row,) = lab.app_sql.rows(LEDGER, r=identity.run_id(wid))
    assert (row["gate_key"], row["topic"]) == (key, f"human:{key}")
    (sent,) = lab.sys_sql.rows(
        "SELECT topic FROM dbos.notifications WHERE destination_uuid = %(w)s", w=wid
    )
    assert sent["topic"] == f"human:{key}"
    assert lab.api.post(EVENTS, json=event(wid, gate)).json() == ACCEPTED


@pytest.mark.claim("S06.unknown-target-404")
def test_an_event_to_nobody_is_refused(lab: Stack, unique_goal: str) -> None:
    wid, gate = waiting(lab.api, unique_goal)
    other, others = waiting(lab.api, f"{unique_goal}, another")
    assert gate != others
    nobody = [event(each, gate) for each in ("ih_" + "0" * 64, "run_" + "0" * 32, "x", "%", "a/b")]
    nowhere = [event(wid, "approve-plan-0"), event(wid, others), event(other, gate)]

    with zero_writes(lab):
        runs = [lab.api.post(EVENTS, json=body) for body in nobody]
        gates = [lab.api.post(EVENTS, json=body) for body in nowhere]

    assert [(each.status, each.json()) for each in runs] == [
        (404, {"error": "run not found"})
    ] * len(nobody)
    assert [(each.status, each.json()) for each in gates] == [
        (404, {"error": "gate not found"})
    ] * len(nowhere)
    assert lab.api.post(EVENTS, json=event(wid, gate)).json() == ACCEPTED


@pytest.mark.claim("S06.not-waiting-409")
def test_a_run_that_does_not_wait_any_more_takes_no_event(
    lab: Stack, provokes: Provokes, unique_goal: str
) -> None:
    done = answer_run(lab.api, park_run(lab.api, f"{unique_goal}, done")["workflowID"])[
        "workflowID"
    ]
    late, canceled = _time_out_gate(lab, unique_goal), park_run(lab.api, unique_goal)["workflowID"]
    by = {"actor": "qa", "reason": "drill"}
    assert lab.api.post(f"/api/ops/wf/{canceled}/cancel", json=by).status == 202
    provokes(late, "nobody answers on purpose")
    provokes(canceled, "canceled on purpose")
    words = {wid: await_status(lab.api, wid, ENDED, deadline_s=END_S)["status"]
             for wid in (done, late, canceled)}  # fmt: skip
    assert words == {done: "SUCCESS", late: "ERROR", canceled: "CANCELLED"}
    gates = {wid: gate_of(lab.api, wid) for wid in words}

    with zero_writes(lab):
        replies = [
            lab.api.post(EVENTS, json=event(wid, gate, dedupeKey="fresh"))
            for wid, gate in gates.items()
        ]

    assert [(each.status, each.json()["code"]) for each in replies] == [
        (409, "gate_already_answered"),
        (409, "run_not_waiting"),
        (409, "run_not_waiting"),
    ]
    kept = {wid: len(lab.app_sql.rows(LEDGER, r=identity.run_id(wid))) for wid in words}
    assert kept == {done: 1, late: 0, canceled: 0}


def _time_out_gate(stack: Stack, goal: str) -> str:
    """The workflow id of a run whose gate waits for two seconds."""
    spec = recipes.spec(stack.app_sql)
    spec["id"] = f"hasty {goal}"
    spec["intentTmpl"]["constraints"] = {"timeoutS": 2}
    recipes.plant(stack, spec)
    body = {**start(goal), "recipeRef": {"id": spec["id"], "v": spec["v"]}}
    wid: str = stack.api.post("/api/run", json=body).json()["workflowID"]
    await_status(stack.api, wid, {"ERROR"}, deadline_s=PARK_S + END_S)
    return wid


@pytest.mark.claim("S06.addressed-by-run-id")
def test_a_run_id_names_the_run_as_well(
    api: Api, app_sql: Sql, sys_sql: Sql, unique_goal: str
) -> None:
    wid, gate = waiting(api, unique_goal)
    run = identity.run_id(wid)

    accepted = api.post(EVENTS, json=event(run, gate))
    replayed = api.post(EVENTS, json=event(wid, gate, dedupeKey=f"evt-{run}-1"))

    assert (accepted.status, accepted.json()) == (200, ACCEPTED)
    assert (replayed.status, replayed.json()) == (200, REPLAYED)
    (row,) = app_sql.rows(LEDGER, r=run)
    assert (row["workflow_id"], row["run_id"]) == (wid, run)
    assert wait_for_end(api, sys_sql, wid)["status"] == "SUCCESS"


@pytest.mark.claim("S06.shared-ledger")
def test_what_one_door_took_the_other_knows(lab: Stack, unique_goal: str) -> None:
    wid, gate = waiting(lab.api, unique_goal)
    by_hand = lab.api.post(f"/api/runs/{wid}/gates/{gate}/reply", json=reply(key="shared"))
    assert by_hand.json() == ACCEPTED
    assert wait_for_end(lab.api, lab.sys_sql, wid)["status"] == "SUCCESS"

    with zero_writes(lab):
        again = lab.api.post(EVENTS, json=event(wid, gate, dedupeKey="shared"))
        other = lab.api.post(EVENTS, json=event(wid, gate, dedupeKey="another"))

    assert (again.status, again.json()) == (200, REPLAYED)
    assert (other.status, other.json()["code"]) == (409, "gate_already_answered")
    rows = lab.app_sql.rows(LEDGER, r=identity.run_id(wid))
    kept = [(row["dedupe_key"], row["origin"], row["payload_hash"]) for row in rows]
    assert kept == [("shared", "manual", YES)]
    assert [each.path for each in operations(lab.api) if "approv" in each.path] == []


@pytest.mark.claim("S06.shared-ledger")
@pytest.mark.parametrize("first", ["manual", "webhook-ci"])
def test_replies_and_events_at_once_are_one_answer(
    lab: Stack, unique_goal: str, first: str
) -> None:
    wid, gate = waiting(lab.api, unique_goal)

    def by_hand() -> Reply:
        return lab.api.post(f"/api/runs/{wid}/gates/{gate}/reply", json=reply(key="shared"))

    def from_outside() -> Reply:
        return lab.api.post(EVENTS, json=event(wid, gate, dedupeKey="shared"))

    pair = [by_hand, from_outside] if first == "manual" else [from_outside, by_hand]
    with hold_answers(lab, identity.run_id(wid)) as place:
        crowd = meet(place, pair * 10, led_by=2)
    replies = crowd.replies()

    assert [each.status for each in replies] == [200] * 20
    (won,) = [number for number, each in enumerate(replies) if not each.json()["isReplay"]]
    assert wait_for_end(lab.api, lab.sys_sql, wid)["status"] == "SUCCESS"
    origins = (first, "webhook-ci" if first == "manual" else "manual")
    origin = origins[won % 2]
    rows = lab.app_sql.rows(LEDGER, r=identity.run_id(wid))
    assert [(row["dedupe_key"], row["origin"]) for row in rows] == [("shared", origin)]


@pytest.mark.claim("S06.origin-kept")
def test_each_origin_is_kept_as_sent_and_no_other_is_taken(lab: Stack, unique_goal: str) -> None:
    runs = {origin: waiting(lab.api, f"{unique_goal} {origin}") for origin in ORIGINS}
    wid, gate = runs["manual"]

    with zero_writes(lab):
        refused = [
            lab.api.post(EVENTS, json=event(wid, gate, origin=odd))
            for odd in ("legacy", "", "Manual", "webhook-CI", None, 1, ["manual"])
        ]
    accepted = [
        lab.api.post(EVENTS, json=event(*runs[origin], origin=origin)).json() for origin in ORIGINS
    ]

    assert [each.status for each in refused] == [400] * 7
    for each in refused:
        assert [fault["pointer"] for fault in each.json()["details"]] == ["/origin"]
    assert accepted == [ACCEPTED] * len(ORIGINS)
    for origin, (run, _) in runs.items():
        assert lab.app_sql.one(LEDGER, r=identity.run_id(run))["origin"] == origin
        (shown,) = lab.api.get(f"/api/runs/{run}/interactions").json()
        assert shown["origin"] == origin
    assert {wait_for_end(lab.api, lab.sys_sql, run)["status"] for run, _ in runs.values()} == {
        "SUCCESS"
    }


@pytest.mark.claim("S06.origin-kept")
def test_the_ledger_of_a_run_merges_both_doors(lab: Stack, unique_goal: str) -> None:
    spec = recipes.spec(lab.app_sql)
    spec["id"] = f"parallel {unique_goal}"
    spec["intentTmpl"]["constraints"] = {"parallelApprovals": True}
    recipes.plant(lab, spec)
    body = {**start(unique_goal), "recipeRef": {"id": spec["id"], "v": spec["v"]}}
    wid = lab.api.post("/api/run", json=body).json()["workflowID"]
    await_status(lab.api, wid, {"WAITING_INPUT"}, deadline_s=PARK_S)
    one, other = (gate["gateKey"] for gate in lab.api.get(f"/api/runs/{wid}/gates").json())

    assert lab.api.post(EVENTS, json=event(wid, one, origin="external")).json() == ACCEPTED
    by_hand = lab.api.post(f"/api/runs/{wid}/gates/{other}/reply", json=reply(key="a"))
    assert by_hand.json() == ACCEPTED

    shown = lab.api.get(f"/api/runs/{wid}/interactions").json()
    kept = lab.app_sql.rows(
        'SELECT workflow_id AS "workflowID", gate_key AS "gateKey", topic,'
        ' dedupe_key AS "dedupeKey", payload_hash AS "payloadHash", origin,'
        ' floor(extract(epoch FROM created_at) * 1000)::bigint AS "createdAt"'
        " FROM app.human_interactions WHERE run_id = %(r)s ORDER BY created_at, dedupe_key",
        r=identity.run_id(wid),
    )
    assert shown == kept
    assert [(row["gateKey"], row["origin"]) for row in shown] == [
        (one, "external"),
        (other, "manual"),
    ]
    assert {row["payloadHash"] for row in shown} == {digest({"choice": "yes"})} == {YES}
    assert wait_for_end(lab.api, lab.sys_sql, wid)["status"] == "SUCCESS"


@pytest.mark.claim("S06.early-event-retry-safe")
def test_an_event_before_its_gate_is_refused_and_counts_when_repeated(
    lab: Stack, unique_goal: str
) -> None:
    wid = identity.workflow_id(unique_goal)
    gate = identity.gate_key(identity.run_id(wid))
    body = event(wid, gate)

    with freeze_worker(lab):
        before_start = lab.api.post(EVENTS, json=body)
        assert lab.api.post("/api/run", json=start(unique_goal)).json()["workflowID"] == wid
        with assert_unchanged(lab.app_sql, lab.sys_sql):
            early = lab.api.post(EVENTS, json=body)
    seen: list[Reply] = []

    def deliver_event() -> bool:
        seen.append(lab.api.post(EVENTS, json=body))
        return seen[-1].status == 200

    eventually(deliver_event, deadline_s=PARK_S)

    assert (before_start.status, before_start.json()) == (404, {"error": "run not found"})
    assert (early.status, early.json()) == (404, {"error": "gate not found"})
    assert {each.status for each in seen[:-1]} <= {404}
    assert seen[-1].json() == ACCEPTED
    assert wait_for_end(lab.api, lab.sys_sql, wid)["status"] == "SUCCESS"
    assert len(lab.app_sql.rows(LEDGER, r=identity.run_id(wid))) == 1
