"""Starts that a recipe's form, a queue or a budget forbids, with the pointer of each fault."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scenarios.support.contract.start_options import BUDGET, WORKLOAD, Options

BLANKS: tuple[Any, ...] = (None, "", " ", "\t\n", "\u2003")

# Forms that compile-default@v1 does not know, and the fields of which that is true.
FORMS: tuple[tuple[dict[str, Any], set[str]], ...] = (
    ({}, {"goal"}),
    ({"goal": 1}, {"goal"}),
    ({"goal": None}, {"goal"}),
    ({"goal": ""}, {"goal"}),
    ({"goal": "x" * 2001}, {"goal"}),
    ({"goal": "hello", "topic": ["alpha"]}, {"topic"}),
    ({"goal": "hello", "topic": ""}, {"topic"}),
    ({"goal": "hello", "colour": "red"}, {"colour"}),
    ({"goal": "hello", "a/b~c": 1}, {"a~1b~0c"}),
    ({"topic": 1, "colour": 1}, {"goal", "topic", "colour"}),
)


@dataclass(frozen=True)
class Wish:
    """Options that no run may ask for: the one at fault, and the words if they are fixed."""

    opts: Options
    at: str
    words: str = ""


_SMALL = {**BUDGET, "maxFanout": 1, "maxSBXMinutes": 1, "maxWallClockMS": 1}
_BLANK = "tenantId cannot be blank"

WISHES = (
    Wish({"queueName": "sbxQ"}, "queueName", "parent intent workflow must use intentQ (got sbxQ)"),
    Wish({"priority": 0}, "priority"),
    Wish({"priority": -5}, "priority"),
    Wish({"priority": 2**31}, "priority"),
    Wish({"tenantId": ""}, "tenantId", _BLANK),
    Wish({"tenantId": " \t"}, "tenantId", _BLANK),
    Wish({"timeoutMS": 0}, "timeoutMS"),
    Wish({"timeoutMS": -1}, "timeoutMS"),
    Wish(
        {"budget": _SMALL, "workload": {**WORKLOAD, "steps": 3, "sandboxMinutes": 0}},
        "workload/steps",
        "budget:maxFanout: observed 3 > limit 1 (ingress)",
    ),
    Wish(
        {"budget": _SMALL, "workload": {**WORKLOAD, "steps": 1}},
        "workload/sandboxMinutes",
        "budget:maxSBXMinutes: observed 5 > limit 1 (ingress)",
    ),
    Wish(
        {"budget": _SMALL, "timeoutMS": 2},
        "timeoutMS",
        "budget:maxWallClockMS: observed 2 > limit 1 (ingress)",
    ),
)

_NO_LIMITS: tuple[Any, ...] = (-1, 1.5, "1", True, None, [1], {})
_NO_OBJECTS: tuple[Any, ...] = (1, "1", True, [])

# Budgets that are none, and the place below ``budget`` of which that is true.
NO_BUDGETS: tuple[tuple[Any, str], ...] = (
    *(({**BUDGET, name: 0}, f"/{name}") for name in BUDGET if name != "maxRetriesPerStep"),
    *(({**BUDGET, name: no_limit}, f"/{name}") for name in BUDGET for no_limit in _NO_LIMITS),
    *(({other: BUDGET[other] for other in BUDGET if other != name}, f"/{name}") for name in BUDGET),
    ({**BUDGET, "maxTokens": 1}, "/maxTokens"),
    *((no_budget, "") for no_budget in _NO_OBJECTS),
)

# One more than each cap of compile-default@v1, and its caps.
MOST = {"concurrency": 4, "steps": 32, "sandboxMinutes": 15}
OVER = tuple(
    Wish(
        {"workload": {**WORKLOAD, metric: cap + 1}},
        f"workload/{metric}",
        f"recipe cap exceeded: {metric} {cap + 1} > {cap}",
    )
    for metric, cap in MOST.items()
)
