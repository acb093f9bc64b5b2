"""K of S10.starvation-bounded: one tenant, then several, flood; a start of another meets it.

`make soak`, or `pytest scenarios/soaks/starvation.py`; `--soak-flood N`.
"""

from __future__ import annotations

import pytest

from pytest_spec11.stacks import Stack, Stacks
from pytest_spec11.waiting import Stopwatch
from scenarios.support.crowds.backlog_log import Backlogs, Met
from scenarios.support.runs.queues import flood_runs, measure_start, working

pytestmark = pytest.mark.S10

FEW = 10
FLOODS = {"one": ["a"], "four": ["a", "b", "c", "d"]}


@pytest.mark.claim("S10.starvation-bounded")
@pytest.mark.parametrize("tenants", FLOODS.values(), ids=FLOODS)
def test_a_start_behind_a_very_long_queue_of_others_is_not_held_up(
    stacks: Stacks,
    unique_goal: str,
    backlogs: Backlogs,
    soak_flood: int,
    tenants: list[str],
) -> None:
    with stacks.start(only=("api",)) as stack:
        few, _ = _measure_start(stack, f"{unique_goal} few", tenants, FEW)
    with stacks.start(only=("api",)) as stack:
        many, stretch = _measure_start(stack, f"{unique_goal} many", tenants, soak_flood)
    for seen in (few, many):
        backlogs.record_backlog(", ".join(tenants), seen)

    assert many.backlog >= soak_flood // 2
    assert many.start_ms <= 5000 * stretch
    assert many.start_ms <= few.start_ms + 2000 * stretch
    assert many.parked_ms <= 10_000 * stretch


def _measure_start(stack: Stack, goal: str, tenants: list[str], flood: int) -> tuple[Met, float]:
    """What a start meets while the tenants together have ``flood`` runs before it.

    With it comes how much longer that took beside the work of others.
    """
    for tenant in tenants:
        flood_runs(stack, [f"{goal} {tenant} {n}" for n in range(flood // len(tenants))], tenant)
    with working(stack, "w0"):
        watch = Stopwatch()
        return measure_start(stack, f"{goal} mine", "mine"), watch.stretch
