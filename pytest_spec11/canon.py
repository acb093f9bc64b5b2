"""Canonical JSON (RFC 8785) and its digest: equal values have equal bytes, on any machine (D1).

The engine has an implementation of its own; both must satisfy ``scenarios/golden.json``.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any, TypeAlias

import rfc8785

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


def canonical(value: Any) -> bytes:
    """UTF-8 JSON without spaces, keys by UTF-16 code unit, numbers as ECMAScript prints them.

    ``value`` is JSON (tuples count as arrays). Raises ValueError for NaN, infinities, lone
    surrogates, integers beyond 2**53 - 1 and whatever is not JSON.
    """
    return rfc8785.dumps(value)


def digest(value: Any) -> str:
    """sha256 of the canonical JSON of ``value``: 64 hex digits."""
    return sha256(canonical(value)).hexdigest()
