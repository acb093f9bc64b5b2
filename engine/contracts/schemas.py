"""Compiled JSON Schemas and patterns of other authors. Matching takes linear time."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from jsonschema import Draft202012Validator, ValidationError, validators
from pydantic_core import SchemaError, SchemaValidator, core_schema
from referencing import Registry

from engine.core.schemas import Fault, Path


class Pattern:
    """A regular expression whose search takes time linear in the text.

    Raises ValueError for a pattern that needs backtracking (look-around, back references) or is
    too large when compiled. A pattern is searched, not anchored, as JSON Schema demands.
    """

    def __init__(self, text: str) -> None:
        try:
            self._compiled = SchemaValidator(core_schema.str_schema(pattern=text))
        except SchemaError as error:
            raise ValueError("is no regular expression that is supported here") from error

    def matches(self, text: str) -> bool:
        """Whether a part of ``text`` matches."""
        return self._compiled.isinstance_python(text)


class Schema:
    """A compiled JSON Schema. It does not fetch references to other documents."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        nowhere: Registry[Any] = Registry()
        self._validator = _VALIDATOR(schema, registry=nowhere)

    def errors(self, value: object) -> Iterator[ValidationError]:
        """Every violation of the schema in ``value``."""
        found: Iterator[ValidationError] = self._validator.iter_errors(value)
        return found

    def fits(self, value: object) -> bool:
        """Whether ``value`` fits."""
        return bool(self._validator.is_valid(value))


def find_unsupported(pattern: str, at: Path) -> Iterator[Fault]:
    """Why the engine does not support ``pattern``; nothing if it does."""
    try:
        Pattern(pattern)
    except ValueError as error:
        yield at, str(error)


_compiled: Final = lru_cache(maxsize=256)(Pattern)


def _pattern(_: Any, text: str, value: Any, __: Any) -> Iterator[ValidationError]:
    if isinstance(value, str) and not _compiled(text).matches(value):
        yield ValidationError(f"does not match {text}")


def _unique_items(_: Any, wanted: bool, value: Any, __: Any) -> Iterator[ValidationError]:  # noqa: FBT001  # a keyword's value
    """Check ``uniqueItems`` by hash. The library compares each pair: 490 items take it 0.2 s."""
    if wanted and isinstance(value, list) and len(set(map(_identify, value))) < len(value):
        yield ValidationError("has an item twice")


def _identify(value: Any) -> Hashable:
    """A key that is the same for values that are equal in JSON, where 1 is 1.0 and is not true."""
    match value:
        case bool():
            return bool, value
        case list():
            return list, tuple(map(_identify, value))
        case dict():
            return dict, frozenset((name, _identify(item)) for name, item in value.items())
        case _:
            known: Hashable = value
            return known


_VALIDATOR: Final = validators.extend(  # type: ignore[no-untyped-call]  # their stubs have no types
    Draft202012Validator, {"pattern": _pattern, "uniqueItems": _unique_items}
)
