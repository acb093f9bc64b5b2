"""A start with every option set, and every single way to wish for something else."""

from __future__ import annotations

from typing import Any

BUDGET = {
    "maxFanout": 4,
    "maxSBXMinutes": 15,
    "maxArtifactsMB": 8,
    "maxRetriesPerStep": 2,
    "maxWallClockMS": 900_000,
}
WORKLOAD = {"concurrency": 2, "steps": 3, "sandboxMinutes": 5}
OPTS: dict[str, Any] = {
    "tenantId": "acme",
    "queuePartitionKey": "acme-1",
    "lane": "interactive",
    "priority": 7,
    "timeoutMS": 600_000,
    "workload": WORKLOAD,
    "budget": BUDGET,
}

# What changes in the options, and the one drift that must be named for it.
CHANGES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "tenant": ({"tenantId": "umbrella"}, {"field": "tenant_id", "existing": "acme", "incoming": "umbrella"}),
    "no tenant": ({"tenantId": None}, {"field": "tenant_id", "existing": "acme", "incoming": None}),
    "partition": ({"queuePartitionKey": "acme-2"}, {"field": "queue_partition_key", "existing": "acme-1", "incoming": "acme-2"}),
    "lane": ({"lane": "batch"}, {"field": "lane", "existing": "interactive", "incoming": "batch"}),
    "priority": ({"priority": 8}, {"field": "priority", "existing": 7, "incoming": 8}),
    "timeout": ({"timeoutMS": 600_001}, {"field": "timeout_ms", "existing": 600_000, "incoming": 600_001}),
    "no timeout": ({"timeoutMS": None}, {"field": "timeout_ms", "existing": 600_000, "incoming": None}),
    "no workload": ({"workload": None}, {"field": "workload", "existing": WORKLOAD, "incoming": None}),
    "no budget": ({"budget": None}, {"field": "budget", "existing": BUDGET, "incoming": None}),
    **{
        name: ({column: changed}, {"field": column, "existing": whole, "incoming": changed})
        for column, whole, name, number in (
            ("workload", WORKLOAD, "concurrency", 1),
            ("workload", WORKLOAD, "steps", 2),
            ("workload", WORKLOAD, "sandboxMinutes", 4),
            ("budget", BUDGET, "maxFanout", 5),
            ("budget", BUDGET, "maxSBXMinutes", 16),
            ("budget", BUDGET, "maxArtifactsMB", 9),
            ("budget", BUDGET, "maxRetriesPerStep", 0),
            ("budget", BUDGET, "maxWallClockMS", 900_001),
        )
        for changed in ({**whole, name: number},)
    },
}  # fmt: skip
