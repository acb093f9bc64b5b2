"""Bodies of gates, their answers and the ledger."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from engine.contracts.base import LONGEST_NAME, Digest, Millis, View, Wire
from engine.core.gates import HUMAN, KEY, TOPIC

Origin = Literal[
    "manual", "engine-dbos", "api-shim", "webhook", "webhook-ci", "external", "unknown"
]
Ttl = Annotated[int, Field(ge=1, le=86_400)]
DedupeKey = Annotated[str, Field(min_length=1, max_length=256)]
LONGEST_KEY: Final = 128
GateState = Literal["PENDING", "RECEIVED", "RESOLVED", "TIMED_OUT", "CANCELLED"]


class GateQuery(Wire):
    """How long to wait for the gate to leave PENDING, in seconds."""

    timeout_s: Annotated[int, Field(ge=0, le=30)] = 0


class InteractionsQuery(Wire):
    """The number of rows of the ledger."""

    limit: Annotated[int, Field(ge=1, le=500)] = 200


class GateReply(Wire):
    """Body of a reply: the answer, its dedupe key, and its origin."""

    payload: dict[str, Any]
    dedupe_key: DedupeKey
    origin: Origin


class ExternalEvent(Wire):
    """Body of an event: a reply by another route, which names its run, its gate and its topic."""

    workflow_id: Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]
    gate_key: Annotated[str, Field(max_length=LONGEST_KEY, pattern=f"^{KEY.pattern}$")]
    topic: Annotated[str, Field(max_length=len(HUMAN) + LONGEST_KEY, pattern=f"^{TOPIC.pattern}$")]
    payload: dict[str, Any]
    dedupe_key: DedupeKey
    origin: Origin


class ReplyAccepted(View):
    """The answer counts; ``isReplay`` says that it was accepted before."""

    ok: Literal[True]
    is_replay: bool


class Prompt(View):
    """The question of a gate, and its deadline."""

    schema_version: Annotated[int, Field(ge=1)]
    form_schema: dict[str, Any]
    ttl_s: Ttl
    created_at: Millis
    deadline_at: Millis
    ui_hints: dict[str, Any] | None
    defaults: dict[str, Any] | None


class GateResult(View):
    """How a gate left PENDING."""

    schema_version: Annotated[int, Field(ge=1)]
    state: Literal["RECEIVED", "TIMED_OUT", "CANCELLED"]
    payload: dict[str, Any] | None = None
    payload_hash: Digest | None = None
    at: Millis | None = None


class GateView(View):
    """One gate."""

    workflow_id: str = Field(alias="workflowID")
    gate_key: str
    topic: str
    state: GateState
    prompt: Prompt
    result: GateResult | None
    decision: Literal["yes", "no"] | None
    origin: Origin | None
    payload_hash: Digest | None
    created_at: Millis
    deadline_at: Millis


class InteractionView(View):
    """One accepted answer, without its payload."""

    workflow_id: str = Field(alias="workflowID")
    gate_key: str
    topic: str
    dedupe_key: DedupeKey
    payload_hash: Digest
    origin: Origin
    created_at: Millis
