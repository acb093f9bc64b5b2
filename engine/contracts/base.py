"""The base of every wire model."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
LONGEST_NAME: Final = 256  # the durable engine's indexes can hold this much, with room to spare

Name = Annotated[str, Field(max_length=LONGEST_NAME)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Millis = Annotated[int, Field(ge=0, description="epoch milliseconds")]


class Wire(BaseModel):
    """Closed, frozen, without coercion; ``snake_case`` inside, ``camelCase`` on the wire."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        alias_generator=to_camel,
        serialize_by_alias=True,
    )


class View(Wire):
    """A reply: built by field name, and refused like any input if it breaks its shape."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)


def millis(at: datetime) -> int:
    """Whole epoch milliseconds."""
    return (at - EPOCH) // timedelta(milliseconds=1)
