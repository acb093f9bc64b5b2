"""S04: an answer is understood or refused, is in the ledger once, and decides the run."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_spec11.canon import digest
from pytest_spec11.fixtures import Provokes
from pytest_spec11.oracles.snapshot import assert_unchanged
from pytest_spec11.stacks import Stack
from scenarios.support.contract.events import ACCEPTED, LEDGER, ORIGINS
from scenarios.support.contract.start_requests import reply
from scenarios.support.faults.zero_writes import freeze_worker, zero_writes
from scenarios.support.probes.refusals import MUMBLED, OVERDUE
from scenarios.support.runs.gates import (
    MESSAGES,
    Gate,
    approval,
    await_gates,
    outcomes,
    start_run,
    variant,
    waiting,
)

pytestmark = pytest.mark.S04

FAULTY: tuple[tuple[str, dict[str, Any]], ...] = (  # what is wrong, and the body's other parts
    ("/origin", {"origin": None}),
    ("/origin", {"origin": ""}),
    ("/origin", {"origin": "Manual"}),
    ("/origin", {"origin": "legacy-approve"}),
    ("/dedupeKey", {"dedupeKey": None}),
    ("/dedupeKey", {"dedupeKey": ""}),
    ("/dedupeKey", {"dedupeKey": "k" * 257}),
    ("/dedupeKey", {"dedupeKey": 7}),
    ("/payload", {"payload": None}),
    ("/payload", {"payload": "yes"}),
    ("/payload", {"payload": [{"choice": "yes"}]}),
)
PARTS = ("payload", "dedupeKey", "origin")
Spelling = tuple[dict[str, Any], str, str | None]
SPELLINGS: tuple[Spelling, ...] = (  # a payload, the decision that it is, and its reason
    ({"choice": "yes"}, "yes", None),
    ({"choice": "yes", "rationale": "fits"}, "yes", "fits"),
    ({"choice": "yes", "reason": "fits"}, "yes", "fits"),
    ({"choice": "yes", "note": "fits"}, "yes", "fits"),
    ({"choice": "yes", "notes": "fits"}, "yes", "fits"),
    ({"choice": "yes", "notes": "late", "reason": "first"}, "yes", "first"),
    ({"approved": True}, "yes", None),
    ({"approved": True, "note": "größer ✓"}, "yes", "größer ✓"),
    ({"decision": "yes"}, "yes", None),
    ({"decision": "YES", "rationale": "loud"}, "yes", "loud"),
    ({"decision": " approve "}, "yes", None),
    ({"decision": "Approved", "notes": "seen"}, "yes", "seen"),
    ({"choice": "no"}, "no", None),
    ({"choice": "no", "rationale": "too much"}, "no", "too much"),
    ({"choice": "no", "reason": "too much"}, "no", "too much"),
    ({"choice": "no", "note": "too much"}, "no", "too much"),
    ({"choice": "no", "notes": "too much"}, "no", "too much"),
    ({"choice": "no", "note": "third", "rationale": "first"}, "no", "first"),
    ({"approved": False}, "no", None),
    ({"approved": False, "reason": "never"}, "no", "never"),
    ({"decision": "no"}, "no", None),
    ({"decision": "No ", "note": "really"}, "no", "really"),
    ({"decision": "reject"}, "no", None),
    ({"decision": "REJECTED", "reason": "never"}, "no", "never"),
)
NONSENSE: tuple[dict[str, Any], ...] = (
    *MUMBLED,
    {"choice": "YES"},
    {"choice": " yes"},
    {"choice": ["yes"]},
    {"choice": None},
    {"approved": 1},
    {"approved": None},
    {"decision": True},
    {"decision": ""},
    {"decision": "yes please"},
    {"rationale": "no decision at all"},
    {"choice": "yes", "decision": "no"},
    {"approved": True, "decision": "approve"},
    {"Choice": "yes"},
    {"answer": "yes"},
    {"choice": "no", "reason": ["too much"]},
)
DECISIONS = """
SELECT workflow_uuid, value::json ->> 'decision' AS decision,
       value::json #>> '{payload,rationale}' AS rationale
FROM dbos.workflow_events_history
WHERE workflow_uuid = ANY(%(ids)s) AND key LIKE 'decision:%%'
"""
DECIDED = "SELECT workflow_id, decision FROM app.human_gates WHERE workflow_id = ANY(%(ids)s)"
ENDS = {"yes": ("succeeded", "SUCCESS"), "no": ("retries_exceeded", "ERROR")}
BY = {"actor": "qa", "reason": "drill"}


@pytest.mark.claim("S04.reply-fields-required")
def test_an_answer_without_one_of_its_parts_is_refused_by_the_part_s_name(
    lab: Stack, unique_goal: str
) -> None:
    gate = waiting(lab.api, unique_goal)
    url = f"{gate.url}/reply"
    without = {name: {**reply()} for name in PARTS}
    for name, body in without.items():
        del body[name]

    with zero_writes(lab):
        missing = {name: lab.api.post(url, json=body) for name, body in without.items()}
        faulty = [lab.api.post(url, json={**reply(), **more}) for _, more in FAULTY]
        empty = lab.api.post(url, json={})
        sent = lab.sys_sql.rows(MESSAGES, ids=[gate.wid])

    assert {each.status for each in (*missing.values(), *faulty, empty)} == {400}
    assert sent == []
    for name, each in missing.items():
        assert each.json()["code"] == "invalid_request"
        assert [fault["pointer"] for fault in each.json()["details"]] == [f"/{name}"]
    named = [[fault["pointer"] for fault in each.json()["details"]] for each in faulty]
    assert named == [[pointer] for pointer, _ in FAULTY]
    assert {fault["pointer"] for fault in empty.json()["details"]} == {f"/{name}" for name in PARTS}
    assert gate.read_rows(lab.app_sql)["state"] == "PENDING"
    assert gate.choose(lab.api, key="k" * 256).json() == ACCEPTED


@pytest.mark.claim("S04.reply-ledger-row")
def test_an_accepted_answer_is_one_row_of_the_ledger_as_it_was_sent(
    lab: Stack, unique_goal: str
) -> None:
    gates = {origin: waiting(lab.api, f"{unique_goal} {origin}") for origin in ORIGINS}
    said = {
        origin: {"choice": "yes", "rationale": f"von {origin}, geprüft ✓ \U0001f600"}
        for origin in ORIGINS
    }

    answers = {
        origin: gate.say(lab.api, said[origin], key=f"key of {origin}, ü", origin=origin)
        for origin, gate in gates.items()
    }

    assert {(each.status, each.json()["isReplay"]) for each in answers.values()} == {(200, False)}
    assert {each.json()["ok"] for each in answers.values()} == {True}
    for origin, gate in gates.items():
        expected = {
            "workflow_id": gate.wid,
            "run_id": gate.run_id,
            "gate_key": gate.key,
            "topic": gate.topic,
            "dedupe_key": f"key of {origin}, ü",
            "origin": origin,
            "payload_hash": digest(said[origin]),
        }
        assert lab.app_sql.rows(LEDGER, r=gate.run_id) == [expected]
        (shown,) = lab.api.get(f"/api/runs/{gate.wid}/interactions").json()
        assert (shown["origin"], shown["payloadHash"]) == (origin, digest(said[origin]))


@pytest.mark.claim("S04.payload-vocabulary")
def test_every_spelling_of_a_decision_is_that_decision(
    lab: Stack, provokes: Provokes, unique_goal: str
) -> None:
    wids = [start_run(lab.api, f"{unique_goal} {number}") for number in range(len(SPELLINGS))]
    wanted = {wid: (word, why) for wid, (_, word, why) in zip(wids, SPELLINGS, strict=True)}
    for wid, (word, _) in wanted.items():
        if word == "no":
            provokes(wid, "its plan is rejected on purpose")
    gates = [gate for wid in wids for gate in await_gates(lab.api, wid)]

    answers = [
        gate.say(lab.api, payload) for gate, (payload, *_) in zip(gates, SPELLINGS, strict=True)
    ]

    assert [each.json() for each in answers] == [ACCEPTED] * len(SPELLINGS)
    ends = outcomes(lab, wids)
    assert ends == {wid: ENDS[word] for wid, (word, _) in wanted.items()}
    events = lab.sys_sql.rows(DECISIONS, ids=wids)
    told = {row["workflow_uuid"]: (row["decision"], row["rationale"]) for row in events}
    assert (told, len(events)) == (wanted, len(wanted))
    stored = {row["workflow_id"]: row["decision"] for row in lab.app_sql.rows(DECIDED, ids=wids)}
    assert stored == {wid: word for wid, (word, _) in wanted.items()}


@pytest.mark.claim("S04.payload-vocabulary")
def test_what_is_no_decision_is_refused_and_the_gate_stays_open(
    lab: Stack, unique_goal: str
) -> None:
    gate = waiting(lab.api, unique_goal)
    (question,) = await_gates(
        lab.api,
        start_run(lab.api, unique_goal, variant(lab, f"asking {unique_goal}", askUser=True)),
    )
    beside = [{}, {"answer": 7}, {"answer": None}, {"choice": "yes"}, {"answer": "a", "more": "b"}]

    with zero_writes(lab):
        refused = [gate.say(lab.api, payload) for payload in NONSENSE]
        mistaken = [question.say(lab.api, payload) for payload in beside]
        views = [each.view(lab.api) for each in (gate, question)]
        sent = lab.sys_sql.rows(MESSAGES, ids=[gate.wid, question.wid])

    assert {each.status for each in (*refused, *mistaken)} == {400}
    assert {each.json()["code"] for each in (*refused, *mistaken)} == {"invalid_request"}
    assert [(view["state"], view["result"]) for view in views] == [("PENDING", None)] * 2
    assert sent == []
    for each in (gate, question):
        assert lab.app_sql.rows(LEDGER, r=each.run_id) == []
    assert gate.choose(lab.api).json() == question.say(lab.api, {"answer": "a"}).json() == ACCEPTED


@pytest.mark.claim("S04.wrong-door-refused")
def test_an_answer_to_nobody_is_refused(lab: Stack, unique_goal: str) -> None:
    gate, other = (waiting(lab.api, f"{unique_goal} {number}") for number in range(2))
    assert gate.key != other.key
    nowhere = [Gate(gate.wid, other.key), Gate(other.wid, gate.key), Gate(gate.wid, "approve-plan")]

    with zero_writes(lab):
        runs = [
            lab.api.post(f"/api/runs/{name}/gates/{gate.key}/reply", json=reply())
            for name in ("ih_" + "0" * 64, "run_" + "0" * 32, "ih_", "x", "%25")
        ]
        gates = [each.choose(lab.api) for each in nowhere]

    assert [(each.status, each.json()) for each in runs] == [(404, {"error": "run not found"})] * 5
    assert [(each.status, each.json()) for each in gates] == [
        (404, {"error": "gate not found"})
    ] * 3
    assert lab.sys_sql.rows(MESSAGES, ids=[gate.wid, other.wid]) == []
    assert lab.app_sql.rows(LEDGER, r=gate.run_id) == lab.app_sql.rows(LEDGER, r=other.run_id) == []


@pytest.mark.claim("S04.wrong-door-refused")
def test_a_run_that_does_not_wait_says_how_it_stands(
    lab: Stack, provokes: Provokes, unique_goal: str
) -> None:
    hasty = variant(lab, f"hasty {unique_goal}", timeoutS=1)
    silent = approval(start_run(lab.api, unique_goal, hasty))
    canceled, late = (waiting(lab.api, f"{unique_goal} {n}") for n in ("canceled", "late"))
    provokes(silent.wid, "nobody answers on purpose")
    provokes(canceled.wid, "canceled on purpose")
    provokes(late.wid, "its deadline passes on purpose")
    assert lab.api.post(f"/api/ops/wf/{canceled.wid}/cancel", json=BY).status == 202
    assert outcomes(lab, [silent.wid, canceled.wid]) == {
        silent.wid: ("retries_exceeded", "ERROR"),
        canceled.wid: ("canceled", "CANCELLED"),
    }
    with freeze_worker(lab):
        assert lab.admin.execute(OVERDUE, w=late.wid) == [{"state": "PENDING"}]
        with assert_unchanged(lab.app_sql, lab.sys_sql):
            answers = [each.choose(lab.api) for each in (silent, canceled, late)]

    said = [(each.status, each.json()["code"], each.json()["error"]) for each in answers]
    begins = "run not waiting for input: "
    assert said == [
        (409, "run_not_waiting", f"{begins}retries_exceeded"),
        (409, "run_not_waiting", f"{begins}canceled"),
        (409, "run_not_waiting", f"{begins}TIMED_OUT"),
    ]
