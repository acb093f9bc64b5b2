"""Forms against the JSON Schema of their recipe (D26)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

from jsonschema import Draft202012Validator, ValidationError
from referencing import Registry

from engine.core.canon import Json
from engine.core.pointers import pointer
from engine.errors import Malformed

MAX_FAULTS: Final = 100
LONGEST_MESSAGE: Final = 200
Fault: TypeAlias = "tuple[tuple[str | int, ...], str]"


class Form:
    """The compiled form of one recipe version. Raises SchemaError if it is no JSON Schema."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        Draft202012Validator.check_schema(schema)
        nowhere: Registry[Any] = Registry()  # a $ref that leaves the schema is not fetched
        self._validator = Draft202012Validator(schema, registry=nowhere)

    def require(self, form: Mapping[str, Json]) -> None:
        """Accept a form that fits. Raises Malformed, naming every fault."""
        errors = self._validator.iter_errors(form)
        if faults := dict.fromkeys(fault for error in errors for fault in _faults(error)):
            details = [
                {"pointer": pointer(("formData", *path)), "message": message[:LONGEST_MESSAGE]}
                for path, message in faults
            ]
            raise Malformed(
                f"invalid form: {len(details)} faults",
                code="invalid_request",
                details=details[:MAX_FAULTS],
            )


def _faults(error: ValidationError) -> Iterator[Fault]:
    """Where ``error`` is: at the key that is missing or too many, not at the object around it.

    The rule is named, the value never quoted: it may be a secret.
    """
    at = tuple(error.absolute_path)
    if error.validator == "required":
        yield from (((*at, name), "required") for name in _missing(error))
    elif error.validator == "additionalProperties":
        yield from (((*at, name), "the form has no such field") for name in _undeclared(error))
    else:
        yield at, f"breaks {error.validator}: {json.dumps(error.validator_value)}"


def _missing(error: ValidationError) -> Iterator[str]:
    instance: Any = error.instance
    required: Any = error.validator_value
    return (name for name in required if name not in instance)


def _undeclared(error: ValidationError) -> Iterator[str]:
    instance: Any = error.instance
    schema: Any = error.schema
    patterns = schema.get("patternProperties", {})
    for name in instance:
        if name not in schema.get("properties", {}) and not _matches_any(patterns, name):
            yield name


def _matches_any(patterns: Mapping[str, Any], name: str) -> bool:
    return any(re.search(pattern, name) for pattern in patterns)
