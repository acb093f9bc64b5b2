"""K of S10.parked-*: very many runs wait, one more is not held up, and all are let go.

`make soak`, or `pytest scenarios/soaks/waiting.py`; `--soak-runs N`.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pytest_spec11.stacks import Stacks
from pytest_spec11.waiting import Stopwatch
from scenarios.support.crowds.many_parked_runs import books, let_go, park_runs, taken_ms, workflows
from scenarios.support.runs.run_lifecycle import park_run

pytestmark = pytest.mark.S10

SLOTS = {"INTENT_QUEUE_WORKER_CONCURRENCY": "5", "SBX_QUEUE_WORKER_CONCURRENCY": "5"}
A_RUN_S = 0.9  # to its end, on two cores that also start, ask and look


@pytest.mark.claim("S10.parked-hold-no-slot")
def test_very_many_waiting_runs_hold_up_no_other(
    stacks: Stacks, unique_goal: str, soak_runs: int, say: Callable[[str], None]
) -> None:
    with stacks.start(env=SLOTS) as stack:
        cost = park_runs(stack, unique_goal, soak_runs)
        say(cost.describe_cost())
        taking = Stopwatch()
        fresh = park_run(stack.api, f"{unique_goal} fresh")["workflowID"]
        say(f"one more was taken after {taken_ms(stack, fresh)} ms")

        assert taken_ms(stack, fresh) <= 2000 * taking.stretch
        assert cost.parked_s <= 600 * max(1, soak_runs / 1000)
        assert cost.threads <= 100
        assert cost.ungranted <= 250

        told = let_go(stack, unique_goal, soak_runs, deadline_s=A_RUN_S * soak_runs)

        assert told == {(200, False): soak_runs, (200, True): 2 * soak_runs}
        assert sorted(books(stack)["app"], key=lambda row: row["status"]) == [
            {"status": "succeeded", "runs": soak_runs, "answers": soak_runs},
            {"status": "waiting_input", "runs": 1, "answers": 0},
        ]
        assert books(stack)["decided"] == (soak_runs, soak_runs)
        assert workflows(stack)["RunIntent", "SUCCESS"] == soak_runs
