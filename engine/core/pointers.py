"""JSON pointers (RFC 6901): how a refusal says where the fault is, a pack what it leaves out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def pointer(path: Iterable[str | int]) -> str:
    """``/opts/lane`` for the keys and indices of ``path``; "" for the whole document."""
    return "".join(f"/{_escape_part(str(part))}" for part in path)


def resolve_pointer(document: Any, place: str) -> Any:
    """What stands at ``place``. Raises LookupError, TypeError or ValueError where nothing can."""
    for part in place.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        document = document[int(name)] if isinstance(document, list) else document[name]
    return document


def _escape_part(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1")
