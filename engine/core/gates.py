"""The questions of gates, and the answers that they understand (D17, D18)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from engine.core.canon import Json
from engine.core.identity import topic as topic_of
from engine.errors import Conflict, Malformed, count_faults

KEY: Final = re.compile(r"[a-z0-9][a-z0-9:_-]{0,127}")
TOPIC: Final = re.compile(rf"(human|sys):{KEY.pattern}")
HUMAN: Final = "human:"
WARNING_S: Final = 60
RATIONALES: Final = ("rationale", "reason", "note", "notes")
DECISIONS: Final[Mapping[str, str]] = {
    "yes": "yes",
    "approve": "yes",
    "approved": "yes",
    "no": "no",
    "reject": "no",
    "rejected": "no",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A gate that a run may open: its step, its purpose, and the header's next action."""

    purpose: str
    step_id: str
    form: Mapping[str, Json]
    next_action: str


APPROVAL_FORM: Final[Mapping[str, Json]] = {
    "v": 1,
    "title": "Approve?",
    "fields": [
        {"k": "choice", "t": "enum", "vs": ["yes", "no"]},
        {"k": "rationale", "t": "str", "opt": True},
    ],
}
QUESTION_FORM: Final[Mapping[str, Json]] = {
    "v": 1,
    "title": "Question",
    "fields": [{"k": "answer", "t": "str"}],
}
APPROVE: Final = Ask(
    purpose="approve-plan",
    step_id="ApplyPatchST",
    form=APPROVAL_FORM,
    next_action="APPROVE_PLAN",
)
PARALLEL: Final = tuple(replace(APPROVE, purpose=f"parallel-{number}") for number in (1, 2))
QUESTION: Final = Ask(
    purpose="ask-user",
    step_id="CompileST",
    form=QUESTION_FORM,
    next_action="ANSWER_QUESTION",
)


class State(StrEnum):
    """The state of a gate, in ``app.human_gates.state`` and in the API."""

    PENDING = "PENDING"
    RECEIVED = "RECEIVED"
    RESOLVED = "RESOLVED"
    TIMED_OUT = "TIMED_OUT"
    CANCELLED = "CANCELLED"


class Sla(StrEnum):
    """How soon an open gate needs an answer."""

    NORMAL = "NORMAL"
    WARNING = "WARNING"
    CRITICAL = "CRITICAL"


def sla(left_s: float) -> Sla:
    """The word for a gate with ``left_s`` seconds to its deadline."""
    if left_s <= 0:
        return Sla.CRITICAL
    return Sla.WARNING if left_s <= WARNING_S else Sla.NORMAL


def is_human(topic: str) -> bool:
    """Whether it is a topic for people; the others belong to the system."""
    return topic.startswith(HUMAN)


def require_topic(gate_key: str, topic: str) -> None:
    """Accept a topic of this gate. Raises Conflict for another gate's topic."""
    if is_human(topic) and topic != topic_of(gate_key):
        raise mismatch(gate_key)


def mismatch(gate_key: str) -> Conflict:
    """The refusal of an answer whose topic belongs to another gate."""
    return Conflict(f"topic/gate mismatch for {gate_key}", code="topic_mismatch")


@dataclass(frozen=True, slots=True)
class Answer:
    """A parsed reply: a decision if the gate asks for one, and its rationale."""

    decision: str | None
    rationale: str | None


def parse_answer(form: Mapping[str, Any], payload: Mapping[str, Json]) -> Answer:
    """Parse ``payload`` by the gate's ``form``. Raises Malformed for an unknown shape."""
    if asks_approval(form):
        if answer := approval(payload):
            return answer
        raise _make_refusal([{"pointer": "/payload", "message": "must be one yes or no"}])
    if faults := list(_mismatches(form, payload)):
        raise _make_refusal(faults)
    return Answer(None, None)


def _make_refusal(faults: list[dict[str, str]]) -> Malformed:
    message = f"invalid GateReply: {count_faults(len(faults))}"
    return Malformed(message, code="invalid_request", details=faults)


def asks_approval(form: Mapping[str, Any]) -> bool:
    """Whether the gate asks for yes or no, in the approval vocabulary."""
    return any(field["k"] == "choice" and field["t"] == "enum" for field in form["fields"])


def approval(payload: Mapping[str, Json]) -> Answer | None:
    """The one decision in ``payload`` with its rationale, or None for an unknown shape (D18)."""
    said = {key: value for key, value in payload.items() if key not in RATIONALES}
    reasons = [value for key, value in payload.items() if key in RATIONALES]
    decision = _decision(said)
    if decision is None or not all(isinstance(reason, str) for reason in reasons):
        return None
    return Answer(decision, next((str(payload[k]) for k in RATIONALES if k in payload), None))


def _decision(said: Mapping[str, Json]) -> str | None:
    match said:
        case {"choice": ("yes" | "no") as word} if len(said) == 1:
            return str(word)
        case {"approved": bool(approved)} if len(said) == 1:
            return "yes" if approved else "no"
        case {"decision": str(word)} if len(said) == 1:
            return DECISIONS.get(word.strip().lower())
        case _:
            return None


def _mismatches(form: Mapping[str, Any], payload: Mapping[str, Json]) -> Iterator[dict[str, str]]:
    fields = {field["k"]: field for field in form["fields"]}
    for name in payload.keys() - fields.keys():
        yield {"pointer": f"/payload/{name}", "message": "the form has no such field"}
    for name, field in fields.items():
        if name not in payload and not field.get("opt", False):
            yield {"pointer": f"/payload/{name}", "message": "required"}
        elif name in payload and not _fits(field, payload[name]):
            yield {"pointer": f"/payload/{name}", "message": "not what the form asks for"}


def _fits(field: Mapping[str, Any], value: Json) -> bool:
    return isinstance(value, str) and (field["t"] != "enum" or value in field["vs"])
