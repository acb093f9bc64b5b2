"""The contract's rules for a run's header: its posture and the order of its statuses."""

from __future__ import annotations

# Keys of the processes' configuration; all other keys belong to the run.
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
# The words that may follow each word; a word may also repeat.
FOLLOWERS = {
    "ENQUEUED": {"PENDING", "WAITING_INPUT", "CANCELLED"},
    "PENDING": {"WAITING_INPUT", "SUCCESS", "ERROR", "CANCELLED"},
    "WAITING_INPUT": {"PENDING", "SUCCESS", "ERROR", "CANCELLED"},
    "SUCCESS": set[str](),
    "ERROR": set[str](),
    "CANCELLED": set[str](),
}
# The API's word for each word of the status stream, which has the app row's words.
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
