"""A fast check for forms of plain texts (most forms), without walking the JSON Schema.

An acceptor may only accept what the whole schema accepts. It leaves everything else to the
validator. Only the validator refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

MAX_FIELDS: Final = 100
MAX_LETTERS: Final = 10_000  # sums over all names and all values; below the limits of a form
_OF_FORM: Final = frozenset(
    {"$schema", "additionalProperties", "description", "properties", "required", "title", "type"}
)
_OF_TEXT: Final = frozenset(
    {"default", "description", "examples", "maxLength", "minLength", "title", "type"}
)
Acceptor = Callable[[Mapping[str, Any]], bool]


def compile_acceptor(schema: Mapping[str, Any]) -> Acceptor:
    """A check whether a form surely fits ``schema``; it never says so for other schemas."""
    bounds = _bounds(schema)
    if bounds is None:
        return lambda _: False
    required = frozenset(schema.get("required", ()))

    def fits(form: Mapping[str, Any]) -> bool:
        if not required <= form.keys():
            return False
        for name, value in form.items():
            least, most = bounds.get(name, (1, 0))
            if type(value) is not str or not least <= len(value) <= most:
                return False
        return True

    return fits


def _bounds(schema: Mapping[str, Any]) -> dict[str, tuple[int, int]] | None:
    """The shortest and longest length of each field; None for a schema of another kind."""
    fields = schema.get("properties", {})
    if schema.keys() - _OF_FORM or schema.get("additionalProperties") is not False:
        return None
    if schema.get("type", "object") != "object" or not 0 < len(fields) <= MAX_FIELDS:
        return None
    if sum(map(len, fields)) > MAX_LETTERS or not all(map(_is_plain, fields.values())):
        return None
    longest = MAX_LETTERS // len(fields)
    return {
        name: (field.get("minLength", 0), min(field.get("maxLength", longest), longest))
        for name, field in fields.items()
    }


def _is_plain(field: Any) -> bool:
    return isinstance(field, dict) and field.get("type") == "string" and not field.keys() - _OF_TEXT
