"""S04: a run may ask a question before it patches anything, or want two approvals of its plan."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from pytest_spec11.fixtures import Provokes
from pytest_spec11.oracles.http import Reply
from pytest_spec11.stacks import Stack
from pytest_spec11.waiting import eventually
from scenarios.support.contract import identity
from scenarios.support.contract.events import ACCEPTED, LEDGER
from scenarios.support.faults.holds import hold_answers, meet
from scenarios.support.runs import escalations
from scenarios.support.runs.gates import (
    QUESTION_FORM,
    Gate,
    approval,
    await_gates,
    outcomes,
    pending,
    start_run,
    variant,
)
from scenarios.support.runs.run_lifecycle import PARK_S

pytestmark = pytest.mark.S04

FLAGS: tuple[dict[str, Any], ...] = (
    {"ask_user": True},
    {"waitForHumanInput": True},
    {"askUser": False, "testHooks": {"askUser": True}},
)
STEPS = "SELECT step_id FROM app.run_steps WHERE run_id = %(r)s ORDER BY started_at, finished_at"
BY = {"actor": "qa", "reason": "drill"}
AT_ONCE = 5
SUCCEEDED = ("succeeded", "SUCCESS")
REJECTED = ("retries_exceeded", "ERROR")


def question(wid: str) -> Gate:
    """Where the run asks before it patches, by the formula alone."""
    return Gate(wid, identity.gate_key(identity.run_id(wid), "CompileST", "ask-user"))


def pair(wid: str) -> list[Gate]:
    """The two places where the run's plan is approved, by the formula alone."""
    run_id = identity.run_id(wid)
    return [Gate(wid, identity.gate_key(run_id, purpose=f"parallel-{n}")) for n in (1, 2)]


def header(stack: Stack, wid: str) -> dict[str, Any]:
    """The run's header."""
    found: dict[str, Any] = stack.api.get(f"/api/runs/{wid}").json()
    return found


def steps(stack: Stack, gate: Gate) -> list[str]:
    """The steps that the gate's run has finished."""
    return [row["step_id"] for row in stack.app_sql.rows(STEPS, r=gate.run_id)]


@pytest.mark.claim("S04.ask-gate")
def test_a_question_is_asked_before_anything_is_patched(lab: Stack, unique_goal: str) -> None:
    wid = start_run(lab.api, unique_goal, variant(lab, f"asking {unique_goal}", askUser=True))
    asks, approves = question(wid), approval(wid)

    assert await_gates(lab.api, wid) == [asks]
    waits = header(lab, wid)
    assert (waits["nextAction"], waits["lastStep"]) == ("ANSWER_QUESTION", "CompileST")
    assert steps(lab, asks) == ["CompileST"]
    assert asks.view(lab.api)["prompt"]["formSchema"] == QUESTION_FORM

    assert asks.say(lab.api, {"answer": "blue"}).json() == ACCEPTED
    eventually(lambda: pending(lab.api, wid) == [approves], deadline_s=PARK_S)
    waits = header(lab, wid)
    assert (waits["status"], waits["nextAction"]) == ("WAITING_INPUT", "APPROVE_PLAN")
    assert steps(lab, asks) == ["CompileST", "ApplyPatchST"]
    assert approves.choose(lab.api, key="qa-2").json() == ACCEPTED

    assert outcomes(lab, [wid]) == {wid: SUCCEEDED}
    told = asks.read_events(lab.sys_sql)
    assert {word: len(values) for word, values in told.items()} == {
        "prompt": 1, "result": 1, "audit": 1, "decision": 0,
    }  # fmt: skip
    assert told["result"][0]["payload"] == {"answer": "blue"}
    kept = lab.app_sql.rows(LEDGER, r=asks.run_id)
    assert [row["gate_key"] for row in kept] == [asks.key, approves.key]
    assert [asks.view(lab.api)[name] for name in ("state", "decision")] == ["RESOLVED", None]


@pytest.mark.claim("S04.ask-gate")
def test_each_spelling_of_the_flag_asks(lab: Stack, unique_goal: str) -> None:
    wids = [
        start_run(lab.api, f"{unique_goal} {n}", variant(lab, f"asking {n} {unique_goal}", **flags))
        for n, flags in enumerate(FLAGS)
    ]

    seen = [await_gates(lab.api, wid) for wid in wids]

    assert seen == [[question(wid)] for wid in wids]
    assert [steps(lab, gate) for (gate,) in seen] == [["CompileST"]] * len(FLAGS)
    for wid in wids:
        assert lab.api.post(f"/api/ops/wf/{wid}/cancel", json=BY).status == 202
    assert {*outcomes(lab, wids).values()} == {("canceled", "CANCELLED")}


@pytest.mark.claim("S04.ask-gate")
def test_a_question_that_nobody_answers_is_escalated(
    lab: Stack, provokes: Provokes, unique_goal: str
) -> None:
    hasty = variant(lab, f"asking {unique_goal}", askUser=True, planApprovalTimeoutS=1)
    wid = start_run(lab.api, unique_goal, hasty)
    provokes(wid, "nobody answers its question")

    assert outcomes(lab, [wid]) == {wid: REJECTED}

    asks = question(wid)
    assert header(lab, wid)["error"]["message"] == "Ask-user gate timed out (rationale: timeout)"
    assert header(lab, wid)["nextAction"] == "REPAIR"
    assert steps(lab, asks) == ["CompileST"]
    (shown,) = lab.api.get(f"/api/runs/{wid}/gates").json()
    assert (shown["gateKey"], shown["state"], shown["result"]["state"]) == (
        asks.key, "TIMED_OUT", "TIMED_OUT",
    )  # fmt: skip
    assert [told["event"] for told in asks.read_events(lab.sys_sql)["audit"]] == ["TIMED_OUT"]
    escalations.read_only_escalation(lab, asks)


def two_wanted(stack: Stack, goal: str, **constraints: Any) -> list[Gate]:
    """The two gates at which the plan of a run just started waits to be approved."""
    wid = start_run(
        stack.api, goal, variant(stack, f"two for {goal}", parallelApprovals=True, **constraints)
    )
    gates = await_gates(stack.api, wid)
    assert {*gates} == {*pair(wid)}
    return pair(wid)


@pytest.mark.claim("S04.parallel-gates")
def test_two_approvals_are_listed_and_each_is_answered_by_itself(
    lab: Stack, unique_goal: str
) -> None:
    one, other = two_wanted(lab, unique_goal)
    assert header(lab, one.wid)["nextAction"] == "APPROVE_PLAN"

    assert other.choose(lab.api, key="b").json() == ACCEPTED
    eventually(lambda: other.read_rows(lab.app_sql)["state"] == "RESOLVED", deadline_s=PARK_S)

    waits, left = header(lab, one.wid), one.view(lab.api)
    assert (waits["status"], waits["nextAction"]) == ("WAITING_INPUT", "APPROVE_PLAN")
    assert (left["state"], left["result"], left["decision"]) == ("PENDING", None, None)
    assert pending(lab.api, one.wid) == [one]
    assert one.choose(lab.api, key="a").json() == ACCEPTED
    assert outcomes(lab, [one.wid]) == {one.wid: SUCCEEDED}
    for gate, key in ((one, "a"), (other, "b")):
        assert {word: len(values) for word, values in gate.read_events(lab.sys_sql).items()} == {
            "prompt": 1, "result": 1, "audit": 1, "decision": 1,
        }  # fmt: skip
        assert gate.read_rows(lab.app_sql) == {
            "state": "RESOLVED",
            "decision": "yes",
            "result": "RECEIVED",
            "payload": {"choice": "yes"},
            "answers": 1,
        }
        kept = lab.app_sql.rows(LEDGER, r=gate.run_id)
        assert [row["dedupe_key"] for row in kept if row["gate_key"] == gate.key] == [key]


@pytest.mark.claim("S04.parallel-gates")
def test_two_approvals_at_once_are_both_accepted(lab: Stack, unique_goal: str) -> None:
    pairs = [two_wanted(lab, f"{unique_goal} {number}") for number in range(AT_ONCE)]
    doors = (lab.api, lab.api_at("twin"))
    replies: list[Reply] = []

    for gates in pairs:
        asks = [partial(gate.choose, door) for gate, door in zip(gates, doors, strict=True)]
        with hold_answers(lab, gates[0].run_id) as place:
            crowd = meet(place, asks, led_by=2)
        replies += crowd.replies()

    assert [each.json() for each in replies] == [ACCEPTED] * 2 * AT_ONCE
    wids = [one.wid for one, _ in pairs]
    assert outcomes(lab, wids) == dict.fromkeys(wids, SUCCEEDED)
    assert [gate.read_rows(lab.app_sql)["answers"] for gates in pairs for gate in gates] == [
        1
    ] * 2 * AT_ONCE


@pytest.mark.claim("S04.parallel-gates")
def test_one_no_rejects_whatever_the_other_says(
    lab: Stack, provokes: Provokes, unique_goal: str
) -> None:
    early, after = (two_wanted(lab, f"{unique_goal} {n}") for n in ("early", "after"))
    for gate, *_ in (early, after):
        provokes(gate.wid, "one of two rejects on purpose")

    early_no = early[1].choose(lab.api, "no")
    assert outcomes(lab, [early[0].wid]) == {early[0].wid: REJECTED}
    late_yes = early[0].choose(lab.api, "yes")
    after_yes = after[0].choose(lab.api, "yes")
    eventually(lambda: after[0].read_rows(lab.app_sql)["state"] == "RESOLVED", deadline_s=PARK_S)
    after_no = after[1].say(lab.api, {"choice": "no", "reason": "unsafe"})
    assert outcomes(lab, [after[0].wid]) == {after[0].wid: REJECTED}

    assert [each.json() for each in (early_no, after_yes, after_no)] == [ACCEPTED] * 3
    assert (late_yes.status, late_yes.json()["code"]) == (409, "run_not_waiting")
    assert [gate.read_rows(lab.app_sql)["state"] for gate in early] == ["CANCELLED", "RESOLVED"]
    assert [gate.read_rows(lab.app_sql)["decision"] for gate in after] == ["yes", "no"]
    assert [
        [told["decision"] for told in gate.read_events(lab.sys_sql)["decision"]]
        for gate in (*early, *after)
    ] == [[], ["no"], ["yes"], ["no"]]
    error = header(lab, after[0].wid)["error"]["message"]
    assert error == "Plan approval failed: no (rationale: unsafe)"


@pytest.mark.claim("S04.parallel-gates")
def test_one_yes_is_not_enough_when_nobody_says_more(
    lab: Stack, provokes: Provokes, unique_goal: str
) -> None:
    one, other = two_wanted(lab, unique_goal, timeoutS=3)
    provokes(one.wid, "one of two never answers")

    assert one.choose(lab.api).json() == ACCEPTED

    assert outcomes(lab, [one.wid]) == {one.wid: REJECTED}
    assert [gate.read_rows(lab.app_sql)["state"] for gate in (one, other)] == [
        "RESOLVED",
        "TIMED_OUT",
    ]
    escalations.read_only_escalation(lab, other)
    assert escalations.workflows(lab.sys_sql, one) == []
