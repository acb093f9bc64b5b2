"""Canonical JSON (RFC 8785) and its digest: equal values have equal bytes, on any machine.

Only the engine uses it. The prover has an implementation of its own, because a shared bug would be
a false green. Both must satisfy ``scenarios/golden.json``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from hashlib import sha256
from json.encoder import encode_basestring as _quoted  # the standard library's, in C
from typing import Final, TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

MAX_SAFE_INTEGER: Final = 2**53 - 1
_CONSTANTS: Final = {None: "null", True: "true", False: "false"}
_SHORTEST_FIXED: Final = -7  # ECMAScript prints 1e-6 as 0.000001 and 1e-7 as 1e-7
_LONGEST_FIXED: Final = 21  # … and 1e20 in full, 1e21 as 1e+21


def canonical(value: Json) -> bytes:
    """UTF-8 JSON without spaces, keys by UTF-16 code unit, numbers as ECMAScript prints them.

    Raises ValueError for NaN, infinities, lone surrogates and integers beyond 2**53 - 1.
    """
    return _text(value).encode("utf-8")


def digest(value: Json) -> str:
    """sha256 of the canonical JSON of ``value``: 64 hex digits."""
    return sha256(canonical(value)).hexdigest()


def reread(raw: bytes | str) -> Json:
    """The value of JSON from a database, as it was before.

    All our numbers are doubles, but a column of type jsonb prints 1e21 in full.
    """
    value: Json = json.loads(raw, parse_int=_whole)
    return value


def _whole(text: str) -> int | float:
    value = int(text)
    return value if abs(value) <= MAX_SAFE_INTEGER else float(text)


def _text(value: Json) -> str:
    match value:
        case str():
            return _quoted(value)
        case dict():
            pairs = [f"{_quoted(key)}:{_text(value[key])}" for key in _sort_keys(value)]
            return f"{{{','.join(pairs)}}}"
        case list():
            return f"[{','.join(map(_text, value))}]"
        case None | bool():
            return _CONSTANTS[value]
        case _:
            return _integer(value) if isinstance(value, int) else _number(value)


def _sort_keys(keys: Iterable[str]) -> list[str]:
    """``keys`` by UTF-16 code unit, which for ASCII is the order that strings have anyway."""
    if "".join(keys).isascii():
        return sorted(keys)
    return sorted(keys, key=lambda key: key.encode("utf-16-be"))


def _integer(value: int) -> str:
    if abs(value) > MAX_SAFE_INTEGER:
        raise ValueError(f"{value} is beyond 2**53 - 1")
    return str(value)


def _number(value: float) -> str:
    """``value`` as ECMAScript's Number::toString: shortest digits that read back the same."""
    if not math.isfinite(value):
        raise ValueError(f"{value} has no JSON form")
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, _, exponent = f"{abs(value)!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = fraction.rstrip("0") if not exponent and fraction == "0" else fraction
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    return sign + _place(digits, point)


def _place(digits: str, point: int) -> str:
    """``digits`` with the decimal point after ``point`` of them, in ECMAScript's layout."""
    if len(digits) <= point <= _LONGEST_FIXED:
        return digits.ljust(point, "0")
    if 0 < point <= _LONGEST_FIXED:
        return f"{digits[:point]}.{digits[point:]}"
    if _SHORTEST_FIXED + 1 < point <= 0:
        return f"0.{'0' * -point}{digits}"
    power = f"{point - 1:+d}"
    return f"{digits[0]}{'.' + digits[1:] if len(digits) > 1 else ''}e{power}"
