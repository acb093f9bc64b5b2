"""Canonical JSON (RFC 8785) and its digest: equal values have equal bytes, on any machine (D1).

The engine has an implementation of its own; both must satisfy ``scenarios/golden.json``.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from hashlib import sha256
from typing import Any, Final, TypeAlias

import rfc8785

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

_LONE: Final = re.compile("[\ud800-\udfff]")
_SAFE_DIGITS: Final = 15  # every integer of this many digits has an exact double
_FIRST_SURROGATE: Final = "\ud800"  # below it, code points sort like UTF-16 code units


class NotCanonical(ValueError):
    """The text is JSON, but not in its one canonical form."""


def _parse_plain_int(text: str) -> int:
    if len(text) > _SAFE_DIGITS:
        raise ValueError(text)
    return int(text)


def _parse_plain_float(text: str) -> float:
    """A float that Python prints as ECMAScript does: with a fraction, and without an exponent."""
    if "e" in text or "E" in text or text.endswith(".0"):
        raise ValueError(text)
    return float(text)


_decode_plain: Final = json.JSONDecoder(
    parse_int=_parse_plain_int, parse_float=_parse_plain_float
).raw_decode
_encode_plain: Final = json.JSONEncoder(
    ensure_ascii=False,
    check_circular=False,
    allow_nan=False,
    separators=(",", ":"),
    sort_keys=True,
).encode


def canonical(value: Any) -> bytes:
    """UTF-8 JSON without spaces, keys by UTF-16 code unit, numbers as ECMAScript prints them.

    ``value`` is JSON (tuples count as arrays). Raises ValueError for NaN, infinities, lone
    surrogates, integers beyond 2**53 - 1 and all values that are not JSON.
    """
    return rfc8785.dumps(value)


def parse_line(line: bytes) -> Any:
    """The value of a line of canonical JSON with its newline.

    Raises NotCanonical for JSON in another form, and ValueError, TypeError or RecursionError for
    text that is not JSON. For nearly all lines Python's own encoder writes what RFC 8785 demands,
    in a tenth of the time; for every other line the RFC 8785 encoder decides.
    """
    with suppress(ValueError, RecursionError):
        text = line.decode()
        value = _decode_plain(text)[0]
        ordered = text.isascii() or max(text) < _FIRST_SURROGATE
        if ordered and _encode_plain(value) + "\n" == text:
            return value
    value = json.loads(line)
    if canonical(value) + b"\n" != line:
        raise NotCanonical
    return value


def canonical_lossy(value: Any) -> bytes:
    """Canonical JSON of ``value``; U+FFFD replaces each character that UTF-8 cannot encode.

    The journal must keep whatever a system or a test says; it must not end the run. Raises
    ValueError for everything else that :func:`canonical` refuses.
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
