"""S05: whoever comes at once, one answer is accepted, and the outcome is that answer's."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from pytest_spec11.fixtures import Provokes
from pytest_spec11.oracles.http import Api
from pytest_spec11.stacks import Stack
from pytest_spec11.waiting import GIVE_UP_S
from scenarios.support.contract.events import ACCEPTED, LEDGER
from scenarios.support.crowds.concurrent_requests import Answer, at_once, not_before, rivals
from scenarios.support.runs.gates import Gate, approval, begun, outcomes, variant, waiting
from scenarios.support.runs.run_lifecycle import PARK_S, reached

pytestmark = pytest.mark.S05

IDENTICAL_ROUNDS, CROWD = 5, 20
ROUNDS, MOST_ROUNDS, SIDE = 10, 40, 10
DEADLINES, EITHER_SIDE_S, TTL_S = 20, 0.1, 4
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


def met(winner: Answer, crowd: list[Answer]) -> bool:
    """Whether the winner had rivals at both api-shims, who take turns in ``crowd``."""
    return min(rivals(winner, crowd[::2]), rivals(winner, crowd[1::2])) > 0


@pytest.mark.claim("S05.race-identical")
def test_twenty_identical_answers_at_once_are_one(lab: Stack, unique_goal: str) -> None:
    alone = waiting(lab.api, f"{unique_goal} alone")
    assert alone.choose(lab.api).json() == ACCEPTED
    raced: list[Gate] = []
    contested = 0  # rounds in which the accepted answer had rivals; the others prove nothing
    while contested < IDENTICAL_ROUNDS and len(raced) < MOST_ROUNDS:
        gate = waiting(lab.api, f"{unique_goal} {len(raced)}")
        raced.append(gate)

        crowd = at_once([partial(gate.choose, door) for door in doors(lab) * (CROWD // 2)])

        assert [(each.status, each.reply.json()["ok"]) for each in crowd] == [(200, True)] * CROWD
        (first,) = [each for each in crowd if not each.reply.json()["isReplay"]]
        contested += met(first, crowd)

    assert contested == IDENTICAL_ROUNDS, "void: the first had no rival"
    ends = outcomes(lab, [gate.wid for gate in (alone, *raced)])
    assert {*ends.values()} == {ENDS["yes"]}
    left = {gate.wid: lab.app_sql.one(LEFT, r=gate.run_id) for gate in (alone, *raced)}
    assert [*left.values()] == [left[alone.wid]] * len(left)
    for gate in raced:
        assert [row["dedupe_key"] for row in lab.app_sql.rows(LEDGER, r=gate.run_id)] == ["qa-1"]
        assert len(gate.told(lab.sys_sql)["decision"]) == 1


def contradicted(stack: Stack, gate: Gate, *, first: str) -> tuple[str, list[Answer]]:
    """The word that won, and all answers of a crowd of which each half says another word."""
    words = [first, "no" if first == "yes" else "yes"] * SIDE
    asks = [
        partial(gate.choose, door, word, key=f"{word} {number}")
        for number, (word, door) in enumerate(
            zip(words, [door for door in doors(stack) for _ in range(2)] * (SIDE // 2), strict=True)
        )
    ]
    crowd = at_once(asks)
    assert Counter(each.status for each in crowd) == {200: 1, 409: 2 * SIDE - 1}
    ((word, winner),) = [
        (word, each) for word, each in zip(words, crowd, strict=True) if each.status == 200
    ]
    against = [each for other, each in zip(words, crowd, strict=True) if other != word]
    assert rivals(winner, against) > 0, "void: nobody contradicted"
    return word, crowd


@pytest.mark.claim("S05.race-contradictory")
def test_of_yes_and_no_at_once_one_is_accepted_and_decides(
    lab: Stack, provokes: Provokes, unique_goal: str
) -> None:
    won: dict[str, str] = {}
    while len(won) < ROUNDS or (len({*won.values()}) < 2 and len(won) < MOST_ROUNDS):
        gate = waiting(lab.api, f"{unique_goal} {len(won)}")
        provokes(gate.wid, "its plan may be rejected")

        word, crowd = contradicted(lab, gate, first=("yes", "no")[len(won) % 2])

        others = [each.reply.json() for each in crowd if each.status != 200]
        assert {each["code"] for each in others} == {"gate_already_answered"}
        (kept,) = lab.app_sql.rows(LEDGER, r=gate.run_id)
        assert kept["dedupe_key"].partition(" ")[0] == word
        won[gate.wid] = word

    assert {*won.values()} == {"yes", "no"}, "void: the same word won every round"
    assert outcomes(lab, won) == {wid: ENDS[word] for wid, word in won.items()}
    for wid, word in won.items():
        told = approval(wid).told(lab.sys_sql)
        assert [each["decision"] for each in told["decision"]] == [word]
        assert [each["payload"] for each in told["result"]] == [{"choice": word}]
        assert approval(wid).kept(lab.app_sql)["answers"] == 1


@pytest.mark.claim("S05.deadline-race")
def test_at_the_deadline_an_answer_counts_or_comes_too_late(
    lab: Stack, provokes: Provokes, unique_goal: str
) -> None:
    hasty = variant(lab, f"hasty {unique_goal}", planApprovalTimeoutS=TTL_S)
    gates = [
        approval(begun(lab.api, f"{unique_goal} {number}", hasty)) for number in range(DEADLINES)
    ]
    step_s = 2 * EITHER_SIDE_S / (DEADLINES - 1)

    with ThreadPoolExecutor(DEADLINES) as pool:
        aimed = []
        for number, gate in enumerate(gates):
            provokes(gate.wid, "its deadline may pass")
            reached(lab.api, gate.wid, {"WAITING_INPUT"}, deadline_s=PARK_S)
            at_s = gate.view(lab.api)["deadlineAt"] / 1000 - EITHER_SIDE_S + number * step_s
            aimed.append(pool.submit(not_before, at_s, partial(gate.choose, lab.api)))
        answers = [each.result(GIVE_UP_S) for each in aimed]

    ends = outcomes(lab, [gate.wid for gate in gates])
    facts = [became(lab, gate, ends[gate.wid]) for gate in gates]
    assert facts == [RECEIVED if each.status == 200 else TIMED_OUT for each in answers]
    assert Counter(each.status for each in answers).keys() == {200, 409}, "void: one outcome only"
    bodies = [each.json() for each in answers if each.status == 200]
    assert bodies == [ACCEPTED] * len(bodies)


RECEIVED = {"result": ["RECEIVED"], "decision": ["yes"], "answers": 1, "ends": ENDS["yes"]}
TIMED_OUT = {"result": ["TIMED_OUT"], "decision": ["no"], "answers": 0, "ends": ENDS["no"]}


def became(stack: Stack, gate: Gate, ends: tuple[str, str]) -> dict[str, Any]:
    """What came of the gate and its run."""
    told = gate.told(stack.sys_sql)
    return {
        "result": [each["state"] for each in told["result"]],
        "decision": [each["decision"] for each in told["decision"]],
        "answers": gate.kept(stack.app_sql)["answers"],
        "ends": ends,
    }
