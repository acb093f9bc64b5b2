from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.contracts.schemas import Schema
from engine.core.plain_forms import compile_acceptor

NAMES = st.sampled_from(["a", "b", "c"])
COUNTS = st.integers(0, 3)
FIELDS = st.fixed_dictionaries(
    {"type": st.sampled_from(["string", "string", "integer"])},
    optional={
        "minLength": COUNTS,
        "maxLength": COUNTS,
        "default": st.just("x"),
        "enum": st.just(["a"]),
    },
)
SCHEMAS = st.fixed_dictionaries(
    {"properties": st.dictionaries(NAMES, FIELDS), "additionalProperties": st.booleans()},
    optional={
        "type": st.sampled_from(["object", "array"]),
        "required": st.lists(NAMES, unique=True),
        "minProperties": COUNTS,
    },
)
FORMS = st.dictionaries(
    st.sampled_from(["a", "b", "c", "d"]), st.text(max_size=4) | st.integers(0, 2)
)
PLAIN = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"goal": {"type": "string", "minLength": 1, "maxLength": 5, "title": "Goal"}},
    "required": ["goal"],
}


@given(SCHEMAS, FORMS)
def test_what_is_accepted_at_once_fits_the_whole_schema(
    schema: dict[str, Any], form: dict[str, Any]
) -> None:
    assert Schema(schema).fits(form) or not compile_acceptor(schema)(form)


@pytest.mark.parametrize(
    ("form", "fits"),
    [
        ({"goal": "g"}, True),
        ({"goal": "\U0001f600" * 5}, True),
        ({"goal": ""}, False),
        ({"goal": "g" * 6}, False),
        ({"goal": 1}, False),
        ({}, False),
        ({"goal": "g", "other": "o"}, False),
    ],
)
def test_a_form_of_texts_is_accepted_at_once(form: dict[str, Any], fits: bool) -> None:  # noqa: FBT001  # a case
    assert compile_acceptor(PLAIN)(form) is fits


def test_texts_larger_than_any_form_are_left_to_the_validator() -> None:
    fields = {f"f{number}": {"type": "string"} for number in range(10)}
    accept = compile_acceptor({"additionalProperties": False, "properties": fields})

    assert accept({"f1": "x" * 1_000})
    assert not accept({"f1": "x" * 1_001})
