"""S05: an answer and a cancellation at once leave one end, the same in both schemas and on disk."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from itertools import pairwise, product
from pathlib import Path
from typing import TypeAlias

import pytest

from pytest_spec11.fixtures import Provokes
from pytest_spec11.oracles.files import Files
from pytest_spec11.oracles.http import Reply
from pytest_spec11.stacks import Stack
from pytest_spec11.waiting import eventually
from scenarios.support.contract.headers import FOLLOWERS, OF_APP
from scenarios.support.crowds.concurrent_requests import at_once
from scenarios.support.faults.holds import hold_answers, hold_ends, meet
from scenarios.support.faults.zero_writes import freeze_worker
from scenarios.support.runs.gates import Gate, await_gates, outcomes
from scenarios.support.runs.patches import column
from scenarios.support.runs.run_lifecycle import END_S
from scenarios.support.runs.workshop import Workshop

pytestmark = pytest.mark.S05

TURNS = 2
KEY = 505
Statuses: TypeAlias = "tuple[int, int]"
BY = {"actor": "qa", "reason": "race"}
BEFORE, AFTER = b"before", b"after"
CANCELED, SUCCEEDED = ("canceled", "CANCELLED"), ("succeeded", "SUCCESS")
REJECTED = ("retries_exceeded", "ERROR")
COMPENSATIONS = """
SELECT status FROM dbos.workflow_status WHERE name = 'Compensate' AND workflow_uuid LIKE %(w)s
"""
TAKEN = """
SELECT h.rolled_back_for FROM app.patch_history h JOIN app.runs r ON r.id = h.run_id
WHERE r.workflow_id = %(w)s AND h.rolled_back_at IS NOT NULL
"""
# Why a canceled run's patch was taken back, with the ends of its compensations. A refused run
# takes its own back, and may be canceled just then: nothing is left to compensate, or soon not.
CANCEL = ("cancel", ("SUCCESS",))
REFUSAL = {("failure", ()), ("failure", ("SUCCESS",))}
WORDS = "SELECT status FROM app.status_history WHERE run_id = %(r)s ORDER BY id"
# What became of the answer and of the cancellation.
OVERTAKEN, TAKEN_BACK, TOO_LATE = (409, 202), (200, 202), (200, 409)
KINDS: tuple[Statuses | None, ...] = (OVERTAKEN, TAKEN_BACK, TOO_LATE, None)


@dataclass(frozen=True)
class Round:
    """One answer against one cancellation, of a run that has changed the file at ``path``."""

    gate: Gate
    path: Path
    choice: str
    reply: Reply
    cancel: Reply

    @property
    def statuses(self) -> Statuses:
        """What the answer and the cancellation were answered."""
        return self.reply.status, self.cancel.status

    @property
    def takers(self) -> set[tuple[str, tuple[str, ...]]]:
        """Who may have taken back what the run wrote, if it was canceled."""
        return {CANCEL, *(REFUSAL if self.choice == "no" else ())}

    @property
    def ends(self) -> tuple[str, str]:
        """The words of both schemas at the end."""
        if self.cancel.status == 202:
            return CANCELED
        return SUCCEEDED if self.choice == "yes" else REJECTED

    @property
    def holds(self) -> bytes:
        """What the file holds then."""
        return AFTER if self.ends == SUCCEEDED else BEFORE


def race(shop: Workshop, goal: str, kind: Statuses | None, choice: str) -> Round:
    """A round that ends as ``kind`` says, since both meet so; None: both at once, as chance has it.

    The cancellation is about to be made when the answer comes, or the answer about to be accepted
    when the cancellation comes, or the run about to end.
    """
    api, path = shop.stack.api, shop.jail / f"{sha256(goal.encode()).hexdigest()[:16]}.txt"
    path.write_bytes(BEFORE)
    (gate,) = await_gates(api, shop.start_patching(goal, path, AFTER.decode()))
    reply = partial(gate.choose, api, choice)
    cancel = partial(api.post, f"/api/ops/wf/{gate.wid}/cancel", json=BY)
    if kind == OVERTAKEN:
        with hold_ends(shop.stack, gate.run_id, KEY, "canceled") as place:
            met = meet(place, [cancel, reply], led_by=2)
        canceled, replied = met.replies()
    elif kind == TAKEN_BACK:
        with freeze_worker(shop.stack):  # else the run could end before it is canceled
            with hold_answers(shop.stack, gate.run_id) as place:
                met = meet(place, [reply, cancel], led_by=2)
            replied, canceled = met.replies()
    elif kind == TOO_LATE:
        with hold_ends(shop.stack, gate.run_id, KEY, "succeeded", "retries_exceeded") as place:
            replied = reply()
            place.await_statements(1)
            met = meet(place, [cancel], led_by=1, behind=1)
        (canceled,) = met.replies()
    else:
        replied, canceled = (each.reply for each in at_once([reply, cancel]))
    return Round(gate, path, choice, replied, canceled)


def find_compensation(stack: Stack, gate: Gate) -> tuple[str, tuple[str, ...]] | None:
    """Why what the canceled run had written was taken back, and how far its compensations are."""
    rows = stack.sys_sql.rows(COMPENSATIONS, w=f"comp:{gate.wid}:%")
    reasons = column(stack.app_sql.rows(TAKEN, w=gate.wid), "rolled_back_for")
    return (reasons[0], tuple(column(rows, "status"))) if len(reasons) == 1 else None


@pytest.mark.claim("S05.cancel-reply-race")
def test_an_answer_and_a_cancellation_at_once_leave_one_end(
    shop: Workshop, files: Files, provokes: Provokes, unique_goal: str
) -> None:
    stack, rounds = shop.stack, list[Round]()
    for number, (kind, choice) in enumerate(product(KINDS, ("yes", "no"))):
        for turn in range(TURNS):
            made = race(shop, f"{unique_goal} {number} {turn}", kind, choice)
            provokes(made.gate.wid, "canceled, rejected or neither")
            assert kind is None or made.statuses == kind
            rounds.append(made)

    ends = {each.gate.wid: each.ends for each in rounds}
    assert outcomes(stack, ends) == ends
    for each in rounds:
        if each.cancel.status == 202:
            by = partial(find_compensation, stack, each.gate)
            eventually(by, deadline_s=END_S, until=each.takers.__contains__)
    assert outcomes(stack, ends) == ends
    assert [files.read(each.path) for each in rounds] == [each.holds for each in rounds]
    for each in rounds:
        words = [OF_APP[row["status"]] for row in stack.app_sql.rows(WORDS, r=each.gate.run_id)]
        steps = [(word, then) for word, then in pairwise(words) if word != then]
        assert [then for word, then in steps if then not in FOLLOWERS[word]] == []
        header = stack.api.get(f"/api/runs/{each.gate.wid}").json()
        assert header["status"] == each.ends[1]
    refused = [each.reply.json()["code"] for each in rounds if each.statuses == OVERTAKEN]
    assert {*refused} == {"run_not_waiting"}
