"""JSON pointers (RFC 6901): how a refusal says where the fault is."""

from __future__ import annotations

from collections.abc import Iterable


def pointer(path: Iterable[str | int]) -> str:
    """``/opts/lane`` for the keys and indices of ``path``; "" for the whole document."""
    return "".join(f"/{_escaped(str(part))}" for part in path)


def _escaped(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1")
