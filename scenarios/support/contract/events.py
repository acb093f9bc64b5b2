"""Events from outside, as a client sends them."""

from __future__ import annotations

from typing import Any

EVENTS = "/api/events/hitl"
ORIGINS = ("manual", "engine-dbos", "api-shim", "webhook", "webhook-ci", "external", "unknown")
ACCEPTED = {"ok": True, "isReplay": False}
REPLAYED = {"ok": True, "isReplay": True}
# Topics outside of the grammar, and a system topic without a waiter.
NO_TOPICS: tuple[Any, ...] = (
    *("", "human", "human:", "Human:x", "human:X", "human:-x", "human: x", "human:x y"),
    *("human:x\n", "user:x", "sys", "sys:", "sys:_x", "human:" + "x" * 129, "sys:" + "x" * 129),
    *(7, None, ["human:x"], "sys:patch"),
)
LEDGER = (
    "SELECT workflow_id, run_id, gate_key, topic, dedupe_key, origin, payload_hash"
    " FROM app.human_interactions WHERE run_id = %(r)s ORDER BY created_at, dedupe_key"
)


def event(wid: str, gate: str, **more: Any) -> dict[str, Any]:
    """A body that answers yes to the gate of the run; ``more`` replaces parts of it."""
    return {
        "workflowId": wid,
        "gateKey": gate,
        "topic": f"human:{gate}",
        "payload": {"choice": "yes"},
        "dedupeKey": f"evt-{wid}-1",
        "origin": "webhook-ci",
        **more,
    }
