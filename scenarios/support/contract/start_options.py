"""Starts with every option set, and every single change of an option."""

from __future__ import annotations

from typing import Any, TypeAlias

Options: TypeAlias = "dict[str, Any]"

BUDGET = {
    "maxFanout": 4,
    "maxSBXMinutes": 15,
    "maxArtifactsMB": 8,
    "maxRetriesPerStep": 2,
    "maxWallClockMS": 900_000,
}
WORKLOAD = {"concurrency": 2, "steps": 3, "sandboxMinutes": 5}
OPTS: Options = {
    "tenantId": "acme",
    "queuePartitionKey": "acme-1",
    "lane": "interactive",
    "priority": 7,
    "timeoutMS": 600_000,
    "workload": WORKLOAD,
    "budget": BUDGET,
}


def _other(option: str, column: str, incoming: Any) -> tuple[Options, Options]:
    """Another value for one of OPTS, and the drift that the refusal must name."""
    drift = {"field": column, "existing": OPTS[option], "incoming": incoming}
    return {option: incoming}, drift


# Changes of the options of a run that was started with OPTS, with the drift of each.
CHANGES: dict[str, tuple[Options, Options]] = {
    "tenant": _other("tenantId", "tenant_id", "umbrella"),
    "no tenant": _other("tenantId", "tenant_id", None),
    "partition": _other("queuePartitionKey", "queue_partition_key", "acme-2"),
    "lane": _other("lane", "lane", "batch"),
    "priority": _other("priority", "priority", 8),
    "timeout": _other("timeoutMS", "timeout_ms", 600_001),
    "no timeout": _other("timeoutMS", "timeout_ms", None),
    "no workload": _other("workload", "workload", None),
    "concurrency": _other("workload", "workload", {**WORKLOAD, "concurrency": 1}),
    "steps": _other("workload", "workload", {**WORKLOAD, "steps": 2}),
    "sandboxMinutes": _other("workload", "workload", {**WORKLOAD, "sandboxMinutes": 4}),
    "no budget": _other("budget", "budget", None),
    "maxFanout": _other("budget", "budget", {**BUDGET, "maxFanout": 5}),
    "maxSBXMinutes": _other("budget", "budget", {**BUDGET, "maxSBXMinutes": 16}),
    "maxArtifactsMB": _other("budget", "budget", {**BUDGET, "maxArtifactsMB": 9}),
    "maxRetriesPerStep": _other("budget", "budget", {**BUDGET, "maxRetriesPerStep": 0}),
    "maxWallClockMS": _other("budget", "budget", {**BUDGET, "maxWallClockMS": 900_001}),
}

# Options that may only repeat what the pinned recipe says (D4), each with another value.
_INERT: Options = {
    "queueName": "sbxQ",
    "recipeName": "seed.r02",
    "recipeVersion": "v2",
    "deduplicationID": "mine",
    "taskKey": "mine",
}
INERT: tuple[Options, ...] = (
    *({name: value} for name, value in _INERT.items()),
    {"queueName": "compileQ"},
    {"queueName": "controlQ"},
    _INERT,
)
