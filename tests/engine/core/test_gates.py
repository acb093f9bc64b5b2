from __future__ import annotations

from typing import Any

import pytest

from engine.core.gates import Answer, parse_answer
from engine.errors import Malformed

APPROVE: dict[str, Any] = {
    "fields": [
        {"k": "choice", "t": "enum", "vs": ["yes", "no"]},
        {"k": "rationale", "t": "str", "opt": True},
    ]
}
ASK: dict[str, Any] = {
    "fields": [
        {"k": "answer", "t": "str"},
        {"k": "size", "t": "enum", "vs": ["S", "L"], "opt": True},
    ]
}


@pytest.mark.parametrize(
    ("payload", "decision", "rationale"),
    [
        ({"choice": "yes"}, "yes", None),
        ({"choice": "no", "rationale": "why"}, "no", "why"),
        ({"approved": True}, "yes", None),
        ({"approved": False, "reason": "cost"}, "no", "cost"),
        ({"decision": "yes"}, "yes", None),
        ({"decision": "Approve"}, "yes", None),
        ({"decision": " APPROVED "}, "yes", None),
        ({"decision": "No"}, "no", None),
        ({"decision": "reject", "note": "n"}, "no", "n"),
        ({"decision": "REJECTED", "notes": "m"}, "no", "m"),
        ({"choice": "yes", "notes": "last", "rationale": "first"}, "yes", "first"),
    ],
)
def test_the_approval_vocabulary_is_understood(
    payload: dict[str, Any], decision: str, rationale: str | None
) -> None:
    assert parse_answer(APPROVE, payload) == Answer(decision, rationale)


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"choice": "maybe"},
        {"choice": "Yes"},
        {"choice": True},
        {"approved": "yes"},
        {"approved": 1},
        {"approved": None},
        {"decision": "perhaps"},
        {"decision": 1},
        {"choice": "yes", "approved": True},
        {"choice": "yes", "extra": 1},
        {"choice": "yes", "rationale": 1},
        {"rationale": "yes"},
    ],
)
def test_any_other_shape_is_refused_and_never_a_silent_no(payload: dict[str, Any]) -> None:
    with pytest.raises(Malformed, match="invalid GateReply"):
        parse_answer(APPROVE, payload)


@pytest.mark.parametrize("payload", [{"answer": "blue"}, {"answer": "", "size": "S"}])
def test_a_question_takes_the_fields_of_its_form(payload: dict[str, Any]) -> None:
    assert parse_answer(ASK, payload) == Answer(None, None)


@pytest.mark.parametrize(
    ("payload", "pointers"),
    [
        ({}, ["/payload/answer"]),
        ({"answer": 1}, ["/payload/answer"]),
        ({"answer": "a", "size": "M"}, ["/payload/size"]),
        ({"choice": "yes"}, ["/payload/choice", "/payload/answer"]),
    ],
)
def test_a_question_names_every_field_it_does_not_understand(
    payload: dict[str, Any], pointers: list[str]
) -> None:
    with pytest.raises(Malformed) as refused:
        parse_answer(ASK, payload)

    details: Any = refused.value.facts["details"]
    assert [item["pointer"] for item in details] == pointers
