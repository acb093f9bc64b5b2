"""S05: whoever comes at once, one answer is accepted, and the outcome is that answer's."""

from __future__ import annotations

import math
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from pytest_spec11.fixtures import Provokes
from pytest_spec11.oracles.http import Api, Reply
from pytest_spec11.stacks import Stack
from pytest_spec11.waiting import GIVE_UP_S, eventually
from scenarios.support.contract.events import ACCEPTED, LEDGER
from scenarios.support.crowds.concurrent_requests import not_before
from scenarios.support.faults.holds import hold_answers, meet
from scenarios.support.runs.gates import Gate, approval, outcomes, start_run, variant, waiting
from scenarios.support.runs.run_lifecycle import PARK_S, await_status

pytestmark = pytest.mark.S05

IDENTICAL_ROUNDS, CROWD = 5, 20
ROUNDS, SIDE = 10, 10
DEADLINES, EITHER_SIDE_S, TTL_S = 20, 0.1, 4
OVERDUE = "SELECT deadline_at < clock_timestamp() FROM app.human_gates WHERE run_id = %(r)s"
ENDS = {"yes": ("succeeded", "SUCCESS"), "no": ("retries_exceeded", "ERROR")}
LEFT = """
SELECT (SELECT count(*) FROM app.artifacts WHERE run_id = %(r)s) AS artifacts,
       (SELECT count(*) FROM app.run_steps WHERE run_id = %(r)s) AS steps,
       (SELECT count(*) FROM app.sbx_runs WHERE run_id = %(r)s) AS tasks,
       (SELECT count(*) FROM app.human_gates WHERE run_id = %(r)s) AS gates
"""


def doors(stack: Stack) -> list[Api]:
    """The two api-shims of the stack."""
    return [stack.api, stack.api_at("twin")]


@pytest.mark.claim("S05.race-identical")
def test_twenty_identical_answers_at_once_are_one(lab: Stack, unique_goal: str) -> None:
    alone = waiting(lab.api, f"{unique_goal} alone")
    assert alone.choose(lab.api).json() == ACCEPTED
    raced = [waiting(lab.api, f"{unique_goal} {number}") for number in range(IDENTICAL_ROUNDS)]
    for gate in raced:
        asks = [partial(gate.choose, door) for door in doors(lab) * (CROWD // 2)]

        with hold_answers(lab, gate.run_id) as place:
            crowd = meet(place, asks, led_by=2)  # one at each api-shim
        replies = crowd.replies()

        assert [(each.status, each.json()["ok"]) for each in replies] == [(200, True)] * CROWD
        assert sorted(each.json()["isReplay"] for each in replies) == [False] + [True] * (CROWD - 1)

    ends = outcomes(lab, [gate.wid for gate in (alone, *raced)])
    assert {*ends.values()} == {ENDS["yes"]}
    left = {gate.wid: lab.app_sql.one(LEFT, r=gate.run_id) for gate in (alone, *raced)}
    assert [*left.values()] == [left[alone.wid]] * len(left)
    for gate in raced:
        assert [row["dedupe_key"] for row in lab.app_sql.rows(LEDGER, r=gate.run_id)] == ["qa-1"]
        assert len(gate.read_events(lab.sys_sql)["decision"]) == 1


def contradict(stack: Stack, gate: Gate, *, first: str) -> tuple[str, list[Reply]]:
    """The word that won, and all replies to a crowd of which each half says another word.

    ``first`` is in the database before the others, and the other word at the other api-shim next.
    """
    words = [first, "no" if first == "yes" else "yes"] * SIDE
    by_shim = [door for pair in (doors(stack), doors(stack)[::-1]) for door in pair]
    asks = [
        partial(gate.choose, by_shim[number % 4], word, key=f"{word} {number}")
        for number, word in enumerate(words)
    ]
    with hold_answers(stack, gate.run_id) as place:
        crowd = meet(place, asks, led_by=2)
    replies = crowd.replies()
    assert Counter(each.status for each in replies) == {200: 1, 409: 2 * SIDE - 1}
    (won,) = [word for word, each in zip(words, replies, strict=True) if each.status == 200]
    return won, replies


@pytest.mark.claim("S05.race-contradictory")
def test_of_yes_and_no_at_once_one_is_accepted_and_decides(
    lab: Stack, provokes: Provokes, unique_goal: str
) -> None:
    won: dict[str, str] = {}
    for number in range(ROUNDS):
        gate = waiting(lab.api, f"{unique_goal} {number}")
        provokes(gate.wid, "its plan may be rejected")

        word, crowd = contradict(lab, gate, first=("yes", "no")[number % 2])

        others = [each.json() for each in crowd if each.status != 200]
        assert {each["code"] for each in others} == {"gate_already_answered"}
        (kept,) = lab.app_sql.rows(LEDGER, r=gate.run_id)
        assert kept["dedupe_key"].partition(" ")[0] == word
        won[gate.wid] = word

    assert {*won.values()} == {"yes", "no"}
    assert outcomes(lab, won) == {wid: ENDS[word] for wid, word in won.items()}
    for wid, word in won.items():
        told = approval(wid).read_events(lab.sys_sql)
        assert [each["decision"] for each in told["decision"]] == [word]
        assert [each["payload"] for each in told["result"]] == [{"choice": word}]
        assert approval(wid).read_rows(lab.app_sql)["answers"] == 1


def measure_ttl(stack: Stack, goal: str) -> int:
    """Whole seconds in which this machine parks twenty runs in turn, TTL_S at least."""
    waiting(stack.api, f"{goal}, to warm up")
    began_s = time.monotonic()
    waiting(stack.api, f"{goal}, to be measured")
    return max(TTL_S, math.ceil(DEADLINES * (time.monotonic() - began_s)))


@pytest.mark.claim("S05.deadline-race")
def test_an_answer_looked_at_before_the_deadline_counts_though_it_passes_meanwhile(
    lab: Stack, unique_goal: str
) -> None:
    ttl_s = measure_ttl(lab, unique_goal)
    hasty = variant(lab, f"hasty {unique_goal}", planApprovalTimeoutS=ttl_s)
    gate = approval(start_run(lab.api, f"{unique_goal}, hasty", hasty))
    await_status(lab.api, gate.wid, {"WAITING_INPUT"}, deadline_s=PARK_S)

    with ThreadPoolExecutor(1) as pool, hold_answers(lab, gate.run_id) as place:
        answer = pool.submit(gate.choose, lab.api)
        place.await_statements(1)
        eventually(lambda: lab.app_sql.value(OVERDUE, r=gate.run_id), deadline_s=2 * ttl_s)

    assert answer.result(GIVE_UP_S).json() == ACCEPTED
    assert became(lab, gate, outcomes(lab, [gate.wid])[gate.wid]) == RECEIVED


@pytest.mark.claim("S05.deadline-race")
def test_at_the_deadline_an_answer_counts_or_comes_too_late(
    lab: Stack, provokes: Provokes, unique_goal: str
) -> None:
    ttl_s = measure_ttl(lab, unique_goal)
    hasty = variant(lab, f"hasty {unique_goal}", planApprovalTimeoutS=ttl_s)
    gates = [
        approval(start_run(lab.api, f"{unique_goal} {number}", hasty))
        for number in range(DEADLINES)
    ]
    step_s = 2 * EITHER_SIDE_S / (DEADLINES - 1)

    with ThreadPoolExecutor(DEADLINES) as pool:
        aimed = []
        for number, gate in enumerate(gates):
            provokes(gate.wid, "its deadline may pass")
            await_status(lab.api, gate.wid, {"WAITING_INPUT"}, deadline_s=PARK_S)
            deadline_s = gate.view(lab.api)["deadlineAt"] / 1000
            # The first has time to spare; the last is asked when the deadline has passed.
            at_s = deadline_s - EITHER_SIDE_S + number * step_s if number else time.time()
            aimed.append(pool.submit(not_before, at_s, partial(gate.choose, lab.api)))
        answers = [each.result(GIVE_UP_S) for each in aimed]

    ends = outcomes(lab, [gate.wid for gate in gates])
    facts = [became(lab, gate, ends[gate.wid]) for gate in gates]
    assert facts == [RECEIVED if each.status == 200 else TIMED_OUT for each in answers]
    assert (answers[0].status, answers[-1].status) == (200, 409)
    bodies = [each.json() for each in answers if each.status == 200]
    assert bodies == [ACCEPTED] * len(bodies)


RECEIVED = {"result": ["RECEIVED"], "decision": ["yes"], "answers": 1, "ends": ENDS["yes"]}
TIMED_OUT = {"result": ["TIMED_OUT"], "decision": ["no"], "answers": 0, "ends": ENDS["no"]}


def became(stack: Stack, gate: Gate, ends: tuple[str, str]) -> dict[str, Any]:
    """What came of the gate and its run."""
    told = gate.read_events(stack.sys_sql)
    return {
        "result": [each["state"] for each in told["result"]],
        "decision": [each["decision"] for each in told["decision"]],
        "answers": gate.read_rows(stack.app_sql)["answers"],
        "ends": ends,
    }
