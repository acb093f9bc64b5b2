"""Gate views and replies."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue

from engine.contracts.base import Wire

Origin = Literal[
    "manual", "engine-dbos", "api-shim", "webhook", "webhook-ci", "external", "unknown"
]


class GateReply(Wire):
    """Body of a reply. All three are required."""

    payload: dict[str, JsonValue]
    dedupe_key: Annotated[str, Field(min_length=1, max_length=256)]
    origin: Origin


class ReplyTaken(Wire):
    """Answer to a reply: whether it had been accepted before (D17)."""

    ok: Literal[True] = True
    is_replay: bool


class Prompt(Wire):
    """What a gate asks, and until when; times in epoch milliseconds."""

    schema_version: Annotated[int, Field(ge=1)]
    form_schema: dict[str, Any]
    ttl_s: Annotated[int, Field(alias="ttlS", ge=1, le=86_400)]
    created_at: int
    deadline_at: int
    ui_hints: dict[str, Any] | None
    defaults: dict[str, Any] | None


class GateView(Wire):
    """One gate."""

    workflow_id: Annotated[str, Field(alias="workflowID")]
    gate_key: str
    topic: str
    state: Literal["PENDING", "RECEIVED", "RESOLVED", "TIMED_OUT", "CANCELLED"]
    prompt: Prompt
    result: dict[str, JsonValue] | None
    decision: Literal["yes", "no"] | None
    origin: Origin | None
    payload_hash: str | None
    created_at: int
    deadline_at: int
