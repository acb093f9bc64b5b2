"""What the contract says of a run's header: its posture and the order of its words."""

from __future__ import annotations

# Keys that say what the processes are configured to be; all others are the run's own.
POSTURE = (
    "topology",
    "runtimeMode",
    "ocMode",
    "sbxMode",
    "sbxProvider",
    "ocStrictMode",
    "appVersion",
    "claimScope",
)
TERMINAL = frozenset({"SUCCESS", "ERROR", "CANCELLED"})
# Which word may follow which; every word may be seen again.
FOLLOWERS = {
    "ENQUEUED": {"PENDING", "WAITING_INPUT", "CANCELLED"},
    "PENDING": {"WAITING_INPUT", "SUCCESS", "ERROR", "CANCELLED"},
    "WAITING_INPUT": {"PENDING", "SUCCESS", "ERROR", "CANCELLED"},
    "SUCCESS": set[str](),
    "ERROR": set[str](),
    "CANCELLED": set[str](),
}
# What the status stream's words, the app row's own, are to the API.
OF_APP = {
    "queued": "ENQUEUED",
    "running": "PENDING",
    "repairing": "PENDING",
    "waiting_input": "WAITING_INPUT",
    "succeeded": "SUCCESS",
    "failed": "ERROR",
    "retries_exceeded": "ERROR",
    "canceled": "CANCELLED",
}
