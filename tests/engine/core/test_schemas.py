from __future__ import annotations

from typing import Any

import pytest

from engine.core.schemas import MAX_WEIGHT, Survey

TEXT = {"type": "string"}


def faults(schema: Any) -> list[str]:
    return ["/".join(map(str, path)) for path, _ in Survey(schema).faults]


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": ["string", "null"], "minLength": 1, "pattern": "^a", "default": {"$ref": "x"}},
        {"type": "object", "properties": {"$ref": TEXT}, "required": ["$ref"]},
        {"items": {"anyOf": [TEXT, False]}, "uniqueItems": True, "enum": [{"bogus": 1}]},
        {"$defs": {"a": TEXT, "b": {"items": {"$ref": "#/$defs/a"}}}, "not": {"$ref": "#/$defs/b"}},
    ],
)
def test_a_sound_schema_has_no_fault(schema: dict[str, Any]) -> None:
    assert faults(schema) == []


@pytest.mark.parametrize(
    ("schema", "at"),
    [
        ({"type": "text"}, "type"),
        ({"type": []}, "type"),
        ({"minLength": -1}, "minLength"),
        ({"minLength": True}, "minLength"),
        ({"required": "a"}, "required"),
        ({"required": [1]}, "required"),
        ({"multipleOf": 0}, "multipleOf"),
        ({"properties": []}, "properties"),
        ({"properties": {"a": []}}, "properties/a"),
        ({"allOf": {}}, "allOf"),
        ({"allOf": [1]}, "allOf/0"),
        ({"patternProperties": {}}, "patternProperties"),
        ({"unevaluatedProperties": False}, "unevaluatedProperties"),
        ({"$dynamicRef": "#a"}, "$dynamicRef"),
        ({"$id": "http://here"}, "$id"),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, "$schema"),
        ({"pattern": "a" * 1001}, "pattern"),
        ({"$ref": "#"}, "$ref"),
        ({"$ref": "#/$defs/none"}, "$ref"),
        ({"$ref": "#/properties/a"}, "$ref"),
        ({"$ref": "http://127.0.0.1/x"}, "$ref"),
        ({"$ref": 1}, "$ref"),
        ({"items": {"$defs": {"a": TEXT}}}, "items/$defs"),
        ({"$defs": {"a": {"$ref": "#/$defs/a"}}}, "$defs/a/$ref"),
        (
            {"$defs": {"a": {"not": {"$ref": "#/$defs/b"}}, "b": {"$ref": "#/$defs/a"}}},
            "$defs/b/$ref",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_fault_is_named_where_it_is(schema: dict[str, Any], at: str) -> None:
    assert faults(schema) == [at]


def test_references_that_double_are_counted_and_not_followed() -> None:
    doubling: dict[str, Any] = {
        f"d{number}": {"allOf": [{"$ref": f"#/$defs/d{number + 1}"}] * 2} for number in range(60)
    }

    doubling["d60"] = TEXT
    survey = Survey({"$defs": doubling, "$ref": "#/$defs/d0"})

    assert survey.weight > MAX_WEIGHT
    assert [path for path, _ in survey.faults] == [()]


def test_a_chain_of_references_has_an_end() -> None:
    chain: dict[str, Any] = {f"d{at}": {"$ref": f"#/$defs/d{at + 1}"} for at in range(3_000)}

    found = Survey({"$defs": chain | {"d3000": TEXT}, "$ref": "#/$defs/d0"}).faults

    assert {message for _, message in found} == {"is the end of a chain of more than 64 references"}


@pytest.mark.parametrize("keyword", ["required", "enum", "const"])
def test_every_value_that_is_compared_weighs(keyword: str) -> None:
    names: list[Any] = [f"name-{number}" for number in range(MAX_WEIGHT)]

    assert Survey({keyword: names}).weight > MAX_WEIGHT


def test_what_nobody_refers_to_weighs_nothing_and_is_looked_at() -> None:
    survey = Survey({"$defs": {"a": {"type": "text"}}})

    assert (survey.weight, [path for path, _ in survey.faults]) == (1, [("$defs", "a", "type")])
