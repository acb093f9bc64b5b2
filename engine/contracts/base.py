"""The base of every wire model, and what its faults look like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from engine.errors import Malformed

Body = TypeVar("Body", bound="Wire")


class Wire(BaseModel):
    """Closed, frozen, uncoerced; ``snake_case`` inside, ``camelCase`` on the wire."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        alias_generator=to_camel,
        serialize_by_alias=True,
        validate_by_alias=True,
        validate_by_name=True,
    )


def pointer(path: tuple[int | str, ...]) -> str:
    """``path`` as a JSON pointer (RFC 6901)."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)


def validated(model: type[Body], name: str, value: Mapping[str, Any]) -> Body:
    """``value`` as ``model``, by wire names alone. Raises Malformed, naming every fault."""
    try:
        return model.model_validate(value, by_alias=True, by_name=False)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False, include_context=False)
        details = [{"pointer": pointer(each["loc"]), "message": each["msg"]} for each in faults]
        message = f"invalid {name}: {len(details)} faults"
        raise Malformed(message, code="invalid_request", details=details) from error
