"""S03: every refusal of every scenario in one sitting, and not one row of either schema moved."""

from __future__ import annotations

from collections import Counter

import pytest

from pytest_spec11.stacks import Stack
from scenarios.support.faults.zero_writes import zero_writes
from scenarios.support.probes.refusals import battery, ground

pytestmark = pytest.mark.S03

LEAST = 200


@pytest.mark.claim("S03.zero-write-battery")
def test_no_refusal_of_any_scenario_writes(lab: Stack, unique_goal: str) -> None:
    on = ground(lab, unique_goal)
    asked = list(battery(on))
    assert len(asked) >= LEAST

    with zero_writes(lab):
        given = [lab.api.request(each.method, each.url, content=each.content) for each in asked]

    wrong = [
        (each.method, each.url[:200], each.content[:200], each.status, reply.status)
        for each, reply in zip(asked, given, strict=True)
        if reply.status != each.status
    ]
    assert wrong == []
    assert Counter(reply.status for reply in given).keys() == {400, 404, 409}
