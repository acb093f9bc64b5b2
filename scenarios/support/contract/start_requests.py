"""Start requests with a goal that is unique to the test and to the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RECIPE = {"id": "compile-default", "v": "v1"}
PARTITION = "tenant-acme"


def start(goal: str, *, form: Mapping[str, Any] | None = None, **opts: Any) -> dict[str, Any]:
    """A body of ``POST /api/run``: ``form`` adds to the goal, ``opts`` to the partition."""
    return {
        "recipeRef": RECIPE,
        "formData": {"goal": goal, **(form or {})},
        "opts": {"queuePartitionKey": PARTITION, **opts},
    }


def reply(choice: str = "yes", *, key: str = "qa-1") -> dict[str, Any]:
    """A body that answers a gate."""
    return {"payload": {"choice": choice}, "dedupeKey": key, "origin": "manual"}
