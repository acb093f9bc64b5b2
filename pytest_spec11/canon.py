"""Canonical JSON (RFC 8785) and its digest: equal values have equal bytes, on any machine (D1).

The engine has an implementation of its own; both must satisfy ``scenarios/golden.json``.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Any, Final, TypeAlias

import rfc8785

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

_LONE: Final = re.compile("[\ud800-\udfff]")


def canonical(value: Any) -> bytes:
    """UTF-8 JSON without spaces, keys by UTF-16 code unit, numbers as ECMAScript prints them.

    ``value`` is JSON (tuples count as arrays). Raises ValueError for NaN, infinities, lone
    surrogates, integers beyond 2**53 - 1 and whatever is not JSON.
    """
    return rfc8785.dumps(value)


def canonical_lossy(value: Any) -> bytes:
    """Canonical JSON of ``value``; in text that has no UTF-8, U+FFFD stands for what has none.

    Whatever a system or a test says has to be kept, not to end the run. Raises ValueError as above
    for all else.
    """
    try:
        return canonical(value)
    except ValueError:
        return canonical(_in_utf8(value))


def _in_utf8(value: Any) -> Any:
    if isinstance(value, str):
        return _LONE.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, dict):
        return {_in_utf8(key): _in_utf8(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_in_utf8(each) for each in value]
    return value


def digest(value: Any) -> str:
    """sha256 of the canonical JSON of ``value``: 64 hex digits."""
    return sha256(canonical(value)).hexdigest()
