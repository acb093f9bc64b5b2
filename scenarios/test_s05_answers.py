"""S05: the accepted answer stays the answer, however late and by whatever door others come."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_spec11.canon import digest
from pytest_spec11.fixtures import Provokes
from pytest_spec11.oracles.http import Reply
from pytest_spec11.oracles.snapshot import assert_unchanged
from pytest_spec11.stacks import Stack
from pytest_spec11.waiting import eventually
from scenarios.support.contract.events import ACCEPTED, EVENTS, LEDGER, ORIGINS, REPLAYED, event
from scenarios.support.faults.zero_writes import freeze_worker, zero_writes
from scenarios.support.runs.escalations import read_only_escalation
from scenarios.support.runs.gates import (
    MESSAGES,
    Gate,
    approval,
    await_end,
    await_gates,
    outcomes,
    pending,
    start_run,
    variant,
    waiting,
)
from scenarios.support.runs.run_lifecycle import PARK_S, complete_run

pytestmark = pytest.mark.S05

BY = {"actor": "qa", "reason": "drill"}
BLUE = {"answer": "blue"}
ENDS = ("SUCCESS", "ERROR", "CANCELLED")


def asking(stack: Stack, goal: str, **constraints: Any) -> Gate:
    """Where a run just started asks its question; an approval will follow."""
    ref = variant(stack, f"asking {goal}", askUser=True, **constraints)
    (gate,) = await_gates(stack.api, start_run(stack.api, goal, ref))
    return gate


def waits(stack: Stack, gate: Gate) -> bool:
    """Whether the gate's run waits there, and nowhere else."""
    return pending(stack.api, gate.wid) == [gate]


def repeat_answer(stack: Stack, gate: Gate, payload: dict[str, Any]) -> list[Reply]:
    """The replies to the accepted answer told again: the same, by other origins, as an event."""
    told = event(gate.wid, gate.key, payload=payload, dedupeKey="qa-1")
    return [
        *(gate.say(stack.api, payload, origin=origin) for origin in ORIGINS),
        stack.api.post(EVENTS, json=told),
        stack.api.post(EVENTS, json={**told, "workflowId": gate.run_id}),
    ]


def replays(stack: Stack, gate: Gate, payload: dict[str, Any]) -> bool:
    """Whether every repetition is answered as one, and the ledger is as it was."""
    bodies = [(each.status, each.json()) for each in repeat_answer(stack, gate, payload)]
    kept = [row for row in stack.app_sql.rows(LEDGER, r=gate.run_id) if row["gate_key"] == gate.key]
    origins = [(row["dedupe_key"], row["origin"], row["payload_hash"]) for row in kept]
    return bodies == [(200, REPLAYED)] * len(bodies) and origins == [
        ("qa-1", "webhook", digest(payload))
    ]


@pytest.mark.claim("S05.replay-for-ever")
def test_the_accepted_answer_told_again_is_a_replay_for_ever(
    lab: Stack, provokes: Provokes, unique_goal: str
) -> None:
    words = ("SUCCESS", "ERROR", "CANCELLED")
    asks = {word: asking(lab, f"{unique_goal} {word}") for word in words}
    provokes(asks["ERROR"].wid, "its plan is rejected on purpose")
    provokes(asks["CANCELLED"].wid, "canceled on purpose")
    seen: dict[str, bool] = {}

    with freeze_worker(lab):  # accepted, and nobody has taken it up
        for gate in asks.values():
            assert gate.say(lab.api, BLUE, origin="webhook").json() == ACCEPTED
        with assert_unchanged(lab.app_sql, lab.sys_sql):
            seen["while waiting"] = all(replays(lab, gate, BLUE) for gate in asks.values())

    later = {word: approval(gate.wid) for word, gate in asks.items()}
    eventually(lambda: all(waits(lab, gate) for gate in later.values()), deadline_s=PARK_S)
    with zero_writes(lab):
        seen["after resolution"] = all(replays(lab, gate, BLUE) for gate in asks.values())

    choices = {"SUCCESS": {"choice": "yes"}, "ERROR": {"choice": "no"}}
    for word, choice in choices.items():
        assert later[word].say(lab.api, choice, origin="webhook").json() == ACCEPTED
    assert lab.api.post(f"/api/ops/wf/{asks['CANCELLED'].wid}/cancel", json=BY).status == 202
    ends = outcomes(lab, [gate.wid for gate in asks.values()])
    assert [word for _, word in ends.values()] == [*asks]

    answers = [(gate, BLUE) for gate in asks.values()]
    answers += [(later[word], choice) for word, choice in choices.items()]
    with zero_writes(lab):
        seen["after the end"] = all(replays(lab, *each) for each in answers)
    before = {name: lab.process(name).pid for name in ("api", "worker")}
    for name in before:
        lab.process(name).restart()
    with zero_writes(lab):
        seen["after a restart of both"] = all(replays(lab, *each) for each in answers)

    assert seen == dict.fromkeys(seen, True)
    assert {name: lab.process(name).pid for name in before} != before
    assert [gate.view(lab.api)["origin"] for gate in asks.values()] == ["webhook"] * 3


@pytest.mark.claim("S05.drift-409")
def test_the_accepted_key_with_anything_else_is_refused(lab: Stack, unique_goal: str) -> None:
    gate = waiting(lab.api, unique_goal)
    payload = {"choice": "yes", "rationale": "first"}
    others = [
        {"choice": "no"},
        {"choice": "yes"},
        {"choice": "yes", "rationale": "second"},
        {"approved": True, "rationale": "first"},
    ]
    topics = {f"human:{gate.key}-": "topic_mismatch", f"sys:{gate.key}": "dedupe_conflict"}

    def refusals() -> list[tuple[int, str]]:
        payloads = [gate.say(lab.api, each) for each in others]
        told = event(gate.wid, gate.key, payload=payload, dedupeKey="qa-1")
        by_event = [lab.api.post(EVENTS, json={**told, "payload": each}) for each in others]
        elsewhere = [lab.api.post(EVENTS, json={**told, "topic": topic}) for topic in topics]
        return [(each.status, each.json()["code"]) for each in (*payloads, *by_event, *elsewhere)]

    with freeze_worker(lab):
        assert gate.say(lab.api, payload).json() == ACCEPTED
        with assert_unchanged(lab.app_sql, lab.sys_sql):
            before = refusals()
    assert await_end(lab.api, lab.sys_sql, gate.wid)["status"] == "SUCCESS"
    with zero_writes(lab):
        after = refusals()

    expected = [(409, "dedupe_conflict")] * (2 * len(others))
    expected += [(409, code) for code in topics.values()]
    assert before == after == expected
    (kept,) = lab.app_sql.rows(LEDGER, r=gate.run_id)
    assert (kept["topic"], kept["payload_hash"]) == (gate.topic, digest(payload))
    assert gate.view(lab.api)["result"]["payload"] == payload
    assert [each["payload"] for each in gate.read_events(lab.sys_sql)["result"]] == [payload]


@pytest.mark.claim("S05.key-reuse-across-gates")
def test_one_key_on_gates_of_one_run_and_of_two_is_an_answer_to_each(
    lab: Stack, unique_goal: str
) -> None:
    first, second = (asking(lab, f"{unique_goal} {number}") for number in range(2))
    both = await_gates(
        lab.api,
        start_run(
            lab.api, unique_goal, variant(lab, f"two for {unique_goal}", parallelApprovals=True)
        ),
    )

    answers = [gate.say(lab.api, BLUE, key="one") for gate in (first, second)]
    later = [approval(gate.wid) for gate in (first, second)]
    eventually(lambda: all(waits(lab, gate) for gate in later), deadline_s=PARK_S)
    answers += [gate.choose(lab.api, key="one") for gate in (*later, *both)]

    assert [(each.status, each.json()) for each in answers] == [(200, ACCEPTED)] * 6
    wids = [first.wid, second.wid, both[0].wid]
    assert outcomes(lab, wids) == dict.fromkeys(wids, ("succeeded", "SUCCESS"))
    for gate in (first, second, *later, *both):
        kept = gate.read_rows(lab.app_sql)
        assert (kept["state"], kept["result"], kept["answers"]) == ("RESOLVED", "RECEIVED", 1)
        assert len(gate.read_events(lab.sys_sql)["result"]) == 1
    keys = [lab.app_sql.rows(LEDGER, r=gate.run_id) for gate in (first, second, both[0])]
    assert [[row["dedupe_key"] for row in rows] for rows in keys] == [["one", "one"]] * 3


OF_RUN = {"runs": "id", "run_steps": "run_id", "artifacts": "run_id", "sbx_runs": "run_id",
          "human_gates": "run_id", "human_interactions": "run_id",
          "status_history": "run_id"}  # fmt: skip
OF_WORKFLOW = ("workflow_status", "operation_outputs", "workflow_events", "workflow_events_history")
ROWS = "SELECT '{table}' AS of, t.xmin::text || ' ' || t::text AS row FROM {table} t WHERE {key}"
UNION = " UNION ALL "


def rows_of(stack: Stack, gate: Gate) -> list[tuple[str, str]]:
    """Every row that is the run's, in both schemas, with who wrote it last."""
    app = [ROWS.format(table=table, key=f"{key} = %(id)s") for table, key in OF_RUN.items()]
    engine = [ROWS.format(table=table, key="workflow_uuid = %(id)s") for table in OF_WORKFLOW]
    found = stack.app_sql.rows(UNION.join(app), id=gate.run_id)
    found += stack.sys_sql.rows(UNION.join(engine), id=gate.wid)
    return sorted((row["of"], row["row"]) for row in found)


@pytest.mark.claim("S05.late-reply-409")
def test_an_answer_that_comes_too_late_changes_nothing(
    lab: Stack, provokes: Provokes, unique_goal: str
) -> None:
    hasty = variant(lab, f"hasty {unique_goal}", planApprovalTimeoutS=1)
    late = approval(start_run(lab.api, unique_goal, hasty))
    done, rejected, canceled = (waiting(lab.api, f"{unique_goal} {n}") for n in range(3))
    for gate, why in ((late, "nobody answers"), (rejected, "rejected"), (canceled, "canceled")):
        provokes(gate.wid, f"{why} on purpose")
    assert done.choose(lab.api, "yes").json() == rejected.choose(lab.api, "no").json() == ACCEPTED
    assert lab.api.post(f"/api/ops/wf/{canceled.wid}/cancel", json=BY).status == 202
    gates = [late, done, rejected, canceled]
    ends = outcomes(lab, [gate.wid for gate in gates])
    assert [word for word, _ in ends.values()] == [
        "retries_exceeded", "succeeded", "retries_exceeded", "canceled",
    ]  # fmt: skip

    with zero_writes(lab):
        answers = [
            answer
            for gate in gates
            for answer in (
                gate.choose(lab.api, "yes", key="fresh"),
                gate.choose(lab.api, "no", key="fresh"),
                lab.api.post(EVENTS, json=event(gate.wid, gate.key, dedupeKey="fresh")),
            )
        ]

    codes = ["run_not_waiting", "gate_already_answered", "gate_already_answered", "run_not_waiting"]
    said = [(each.status, each.json()["code"]) for each in answers]
    assert said == [(409, code) for code in codes for _ in range(3)]


SEND = "SELECT dbos.send_message(%(w)s, %(said)s::json, %(topic)s)"


@pytest.mark.claim("S05.late-reply-409")
def test_a_message_to_a_dead_topic_changes_no_row_of_its_run(
    lab: Stack, provokes: Provokes, unique_goal: str
) -> None:
    hasty = variant(lab, f"hasty {unique_goal}", planApprovalTimeoutS=1)
    late = approval(start_run(lab.api, unique_goal, hasty))
    done, canceled = (waiting(lab.api, f"{unique_goal} {number}") for number in range(2))
    provokes(late.wid, "nobody answers on purpose")
    provokes(canceled.wid, "canceled on purpose")
    assert done.choose(lab.api).json() == ACCEPTED
    assert lab.api.post(f"/api/ops/wf/{canceled.wid}/cancel", json=BY).status == 202
    gates = [late, done, canceled]
    outcomes(lab, [gate.wid for gate in gates])
    read_only_escalation(lab, late)
    before = [rows_of(lab, gate) for gate in gates]

    for gate in gates:
        lab.admin.execute(SEND, w=gate.wid, said='{"choice": "no"}', topic=gate.topic)
    complete_run(lab.api, f"{unique_goal}, whoever listens has had the time")

    assert [rows_of(lab, gate) for gate in gates] == before
    assert {table for rows in before for table, _ in rows} >= {"runs", "human_gates"}
    sent = lab.sys_sql.rows(MESSAGES, ids=[gate.wid for gate in gates])
    assert {row["topic"] for row in sent} == {gate.topic for gate in gates}


ROW = """
INSERT INTO app.human_interactions
    (run_id, workflow_id, gate_key, topic, dedupe_key, payload_hash, payload, origin)
VALUES
    ({run_id}, {workflow_id}, {gate_key}, {topic}, {dedupe_key}, {payload_hash}, '{{}}', {origin})
"""
HASH = "b84d24ba8de9f13caa5ac3863ee331d23754bdf6b3f92a11fb52848bc1449487"
TWICE, SECOND = "human_interactions_once", "human_interactions_one_answer"
UNLAWFUL: tuple[tuple[str, str, str], ...] = (  # a column, what no row may hold, who refuses it
    ("payload_hash", "''", "human_interactions_hash_check"),
    ("payload_hash", f"'{HASH[:-1]}'", "human_interactions_hash_check"),
    ("payload_hash", f"'{HASH}0'", "human_interactions_hash_check"),
    ("payload_hash", f"'{HASH.upper()}'", "human_interactions_hash_check"),
    ("payload_hash", f"'{'g' * 64}'", "human_interactions_hash_check"),
    ("payload_hash", "NULL", "human_interactions_hash_check"),
    ("origin", "NULL", "human_interactions_origin_check"),
    ("origin", "''", "human_interactions_origin_check"),
    ("origin", "' '", "human_interactions_origin_check"),
    ("origin", "'legacy-approve'", "human_interactions_origin_check"),
    ("run_id", "NULL", "human_interactions_run_check"),
    ("dedupe_key", "NULL", "human_interactions_dedupe_check"),
    ("dedupe_key", "''", "human_interactions_dedupe_check"),
    ("dedupe_key", "repeat('k', 257)", "human_interactions_dedupe_check"),
    ("gate_key", "'approve-plan-0'", "human_interactions_gate_fkey"),
)


def lawful(gate: Gate, key: str) -> dict[str, str]:
    """The columns of a row that says the gate was answered under that key, as SQL."""
    return {
        "run_id": f"'{gate.run_id}'",
        "workflow_id": f"'{gate.wid}'",
        "gate_key": f"'{gate.key}'",
        "topic": f"'{gate.topic}'",
        "dedupe_key": f"'{key}'",
        "payload_hash": f"'{HASH}'",
        "origin": "'manual'",
    }


@pytest.mark.claim("S05.ledger-law-in-db")
def test_the_database_itself_keeps_the_law_of_the_ledger(lab: Stack, unique_goal: str) -> None:
    answered, free = (waiting(lab.api, f"{unique_goal} {number}") for number in range(2))
    assert answered.choose(lab.api, key="taken").json() == ACCEPTED

    def try_row(columns: dict[str, str]) -> str | int:
        return lab.admin.try_statement("spec11", ROW.format(**columns))

    allowed = try_row(lawful(free, "fresh"))
    again = try_row(lawful(answered, "taken"))
    seconds = [
        try_row({**lawful(answered, "fresh"), **other})
        for other in ({}, {"topic": "'sys:other'"}, {"workflow_id": f"'{answered.run_id}'"})
    ]
    refused = [try_row({**lawful(free, "fresh"), column: value}) for column, value, _ in UNLAWFUL]

    assert (allowed, again, seconds) == (1, TWICE, [SECOND] * 3)
    assert refused == [constraint for *_, constraint in UNLAWFUL]
    assert len(lab.app_sql.rows(LEDGER, r=answered.run_id)) == 1
    assert lab.app_sql.rows(LEDGER, r=free.run_id) == []
