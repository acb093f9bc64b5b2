"""JSON Schemas that others wrote: a closed vocabulary, so that what one may cost is known before.

A schema is read once, when its recipe comes in. What is in here terminates. Its weight is the
number of its keywords and of the values in them, once every reference is followed. The weight
bounds what a value can cost later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from engine.core.canon import Json

Path: TypeAlias = "tuple[str | int, ...]"
Fault: TypeAlias = "tuple[Path, str]"
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
TYPES: Final = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})
MAX_WEIGHT: Final = 1_000
MAX_PATTERN: Final = 1_000
MAX_CHAIN: Final = 64  # references that follow one another
OF_DEFINITION: Final = "#/$defs/"
ONE: Final = frozenset(
    {"additionalProperties", "contains", "else", "if", "items", "not", "propertyNames", "then"}
)
SEVERAL: Final = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})


COMPARED: Final = frozenset({"const", "enum", "required", "type"})  # with each value, one by one


def count_values(value: Json, stop_at: int = MAX_WEIGHT) -> int:
    """How many values ``value`` consists of, itself included; any number over ``stop_at`` if many.

    A list of names counts as its names, and an empty list as one.
    """
    found, ahead = 0, [value]
    while ahead and found <= stop_at:
        found += 1
        match ahead.pop():
            case dict() as members:
                ahead.extend(members.values())
            case list() as items:
                ahead.extend(items)
            case _:
                pass
    return found


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_types(value: Any) -> bool:
    names = value if isinstance(value, list) else [value]
    return bool(names) and all(isinstance(name, str) and name in TYPES for name in names)


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _is_anything(_: Any) -> bool:
    return True


PLAIN: Final[Mapping[str, Callable[[Any], bool]]] = {
    "$comment": _is_text,
    "$schema": DIALECT.__eq__,
    "const": _is_anything,
    "default": _is_anything,
    "deprecated": lambda value: isinstance(value, bool),
    "description": _is_text,
    "enum": _is_list,
    "examples": _is_list,
    "exclusiveMaximum": _is_number,
    "exclusiveMinimum": _is_number,
    "format": _is_text,
    "maxContains": _is_count,
    "maxItems": _is_count,
    "maxLength": _is_count,
    "maxProperties": _is_count,
    "maximum": _is_number,
    "minContains": _is_count,
    "minItems": _is_count,
    "minLength": _is_count,
    "minProperties": _is_count,
    "minimum": _is_number,
    "multipleOf": lambda value: _is_number(value) and value > 0,
    "pattern": lambda value: isinstance(value, str) and len(value) <= MAX_PATTERN,
    "readOnly": lambda value: isinstance(value, bool),
    "required": _is_names,
    "title": _is_text,
    "type": _is_types,
    "uniqueItems": lambda value: isinstance(value, bool),
    "writeOnly": lambda value: isinstance(value, bool),
}


class Survey:
    """What there is to say about one schema: ``faults``, its ``weight`` and its ``patterns``."""

    def __init__(self, schema: Json) -> None:
        self.faults: list[Fault] = []
        self.patterns: list[tuple[Path, str]] = []
        self._definitions: Any = schema.get("$defs", {}) if isinstance(schema, dict) else {}
        self._weights: dict[str, int] = {}
        self._open: list[str] = []
        if isinstance(self._definitions, dict):
            for name in self._definitions:
                self._definition(name, ("$defs", name))
        self.weight = self._schema(schema, ())
        if self.weight > MAX_WEIGHT:
            self.faults.append(
                ((), f"is too large: more than {MAX_WEIGHT} keywords, references followed")
            )

    def _schema(self, schema: Any, at: Path) -> int:
        if isinstance(schema, bool):
            return 1
        if not isinstance(schema, dict):
            self.faults.append((at, "is no JSON Schema"))
            return 1
        return 1 + sum(self._keyword(name, value, (*at, name)) for name, value in schema.items())

    def _keyword(self, name: str, value: Any, at: Path) -> int:
        if name in ONE:
            return self._schema(value, at)
        if name in SEVERAL and isinstance(value, list):
            return sum(self._schema(each, (*at, index)) for index, each in enumerate(value))
        if name == "properties" and isinstance(value, dict):
            return sum(self._schema(each, (*at, key)) for key, each in value.items())
        if name == "$defs" and at == ("$defs",) and isinstance(value, dict):
            return 0  # counted where it is referred to
        if name == "$ref":
            return self._measure_reference(value, at)
        return self._plain(name, value, at)

    def _plain(self, name: str, value: Any, at: Path) -> int:
        fits = PLAIN.get(name)
        if fits is None:
            self.faults.append((at, "is no keyword that is supported here"))
        elif not fits(value):
            self.faults.append((at, "is not what this keyword takes"))
        elif name == "pattern":
            self.patterns.append((at, value))
        return count_values(value) if name in COMPARED else 1

    def _measure_reference(self, ref: Any, at: Path) -> int:
        name = ref.removeprefix(OF_DEFINITION) if isinstance(ref, str) else ""
        if not isinstance(ref, str) or not ref.startswith(OF_DEFINITION) or not name.isidentifier():
            self.faults.append(
                (at, f"may only refer to {OF_DEFINITION}<name> of the schema itself")
            )
        elif not isinstance(self._definitions, dict) or name not in self._definitions:
            self.faults.append((at, "refers to what is not there"))
        else:
            return self._definition(name, at)
        return 1

    def _definition(self, name: str, at: Path) -> int:
        """The weight of a definition; one that leads back to itself has none."""
        if name in self._open:
            self.faults.append((at, "leads back to itself"))
            return 1
        if len(self._open) == MAX_CHAIN:
            self.faults.append((at, f"is the end of a chain of more than {MAX_CHAIN} references"))
            return 1
        if name not in self._weights:
            self._open.append(name)
            found = self._schema(self._definitions[name], ("$defs", name))
            self._weights[name] = min(found, MAX_WEIGHT + 1)
            self._open.pop()
        return self._weights[name]
