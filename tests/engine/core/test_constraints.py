from __future__ import annotations

from typing import Any

import pytest

from engine.core import constraints
from engine.core.gates import APPROVE, PARALLEL, QUESTION


@pytest.mark.parametrize("name", constraints.QUESTION_NAMES)
def test_each_spelling_of_the_question_s_switch_asks(name: str) -> None:
    assert constraints.questions({name: True}) == (QUESTION,)


@pytest.mark.parametrize("name", constraints.PARALLEL_NAMES)
def test_each_spelling_of_the_parallel_switch_asks_two(name: str) -> None:
    assert constraints.approvals({name: True}) == PARALLEL


@pytest.mark.parametrize("value", ["true", 1, None, [], {"on": True}])
def test_a_switch_is_on_by_true_alone(value: Any) -> None:
    assert constraints.questions({"askUser": value}) == ()
    assert constraints.approvals({"parallelApprovals": value}) == (APPROVE,)


def test_hooks_stand_in_place_of_all_that_is_beside_them() -> None:
    given: dict[str, Any] = {"askUser": True, "timeoutS": 9, "testHooks": {"timeoutS": 2}}

    assert constraints.questions(given) == ()
    assert constraints.gate_ttl_s(given, 3600) == 2


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ({}, 3600),
        ({"timeoutS": None}, 3600),
        ({"timeoutS": 5}, 5),
        ({"timeoutS": 5, "plan_approval_timeout_s": 4}, 4),
        ({"timeoutS": 5, "plan_approval_timeout_s": 4, "planApprovalTimeoutS": 3}, 3),
        ({"testHooks": "none", "timeoutS": 7}, 7),
    ],
)
def test_the_first_name_that_has_a_value_says_how_long_a_gate_waits(
    given: dict[str, Any], seconds: int
) -> None:
    assert constraints.gate_ttl_s(given, 3600) == seconds
