"""S10: a run that waits for a person costs next to nothing, and all can be let go at once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pytest_spec11.stacks import Stack, Stacks
from pytest_spec11.waiting import Stopwatch
from scenarios.support.crowds.many_parked_runs import books, let_go, park_runs, taken_ms, workflows
from scenarios.support.runs.run_lifecycle import park_run

pytestmark = pytest.mark.S10

RUNS = 60
SLOTS = {"INTENT_QUEUE_WORKER_CONCURRENCY": "5", "SBX_QUEUE_WORKER_CONCURRENCY": "5"}
SESSIONS = {"spec11-worker-w0": 40, "spec11-api": 10}  # as docs/contract.md states them
DEPTH = "SELECT status, workflow_count FROM app.v_ops_queue_depth WHERE queue_name = %(q)s"


@pytest.fixture
def room(stacks: Stacks) -> Iterator[Stack]:
    """A private stack whose worker has five execution slots."""
    with stacks.start(env=SLOTS) as stack:
        yield stack


@pytest.mark.claim("S10.parked-hold-no-slot")
def test_many_waiting_runs_hold_up_no_other(room: Stack, unique_goal: str) -> None:
    cost = park_runs(room, unique_goal, RUNS)

    watch = Stopwatch()
    fresh = park_run(room.api, f"{unique_goal} fresh")["workflowID"]

    assert taken_ms(room, fresh) <= 2000 * watch.stretch
    assert cost.threads <= 100
    assert cost.sessions.keys() == SESSIONS.keys()
    over = {n: cost.sessions[n] for n, most in SESSIONS.items() if cost.sessions[n] > most}
    assert over == {}, cost.sessions
    assert {row["status"] for row in room.sys_sql.rows(DEPTH, q="intentQ")} == {"WAITING_INPUT"}
    assert room.app_sql.value("SELECT count(*) FROM app.human_gates WHERE state = 'PENDING'") == (
        RUNS + 1
    )


@pytest.mark.claim("S10.parked-burst-completes")
def test_all_of_them_are_answered_three_times_and_count_once(room: Stack, unique_goal: str) -> None:
    park_runs(room, unique_goal, RUNS)

    told = let_go(room, unique_goal, RUNS, deadline_s=120)

    assert told == {(200, False): RUNS, (200, True): 2 * RUNS}
    assert books(room) == {
        "app": [{"status": "succeeded", "runs": RUNS, "answers": RUNS}],
        "decided": (RUNS, RUNS),
    }
    assert workflows(room)["RunIntent", "SUCCESS"] == RUNS
