"""Identity is content: equal intents have equal ids, on any machine, in any process (D1)."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Final

from engine.core.canon import Json, digest

_SLUG_CHARACTERS: Final = 16


def intent_hash(intent: Json) -> str:
    """64 hex digits. The recipe that rendered the intent is not part of it (D1)."""
    return digest(intent)


def workflow_id(hash_of_intent: str) -> str:
    """``"ih_"`` + 64 hex digits: the intent's id and the workflow's."""
    return f"ih_{hash_of_intent}"


def run_id(workflow: str) -> str:
    """``"run_"`` + 32 hex digits, a function of the workflow id."""
    return f"run_{digest({'workflowId': workflow})[:32]}"


def gate_key(run: str, step: str, purpose: str, attempt: int = 1) -> str:
    """Purpose as a slug, then 16 hex digits over the raw text of the tuple (not JSON)."""
    slug = re.sub(r"[^a-z0-9]", "-", purpose.lower())[:_SLUG_CHARACTERS]
    seed = sha256(f"{run}:{step}:{purpose}:{attempt}".encode()).hexdigest()
    return f"{slug}-{seed[:16]}"


def topic(gate: str) -> str:
    """The message topic on which a gate's answer travels."""
    return f"human:{gate}"


def task_key(workflow: str, run: str, request: Json) -> str:
    """Id of one sandboxed task and of the child workflow that runs it: 64 hex digits."""
    return digest(
        {"intentId": workflow, "runId": run, "stepId": "ExecuteST", "normalizedReq": request}
    )
