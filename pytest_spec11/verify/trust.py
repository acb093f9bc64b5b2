"""Whose signatures count: the keys of a policy, read as strictly as the gate reads them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

_KEY: Final = re.compile(r"[0-9a-f]{64}")
_PRIME: Final = 2**255 - 19
_SIGN: Final = 1 << 255
# The second coordinates of the eight points that generate no large group: whoever knows the curve
# signs under these keys.
_SMALL: Final = frozenset(
    {
        0,
        1,
        _PRIME - 1,
        2707385501144840649318225287225658788936804267575313519463743609750303402022,
        _PRIME - 2707385501144840649318225287225658788936804267575313519463743609750303402022,
    }
)


def read_keys(policy: Mapping[str, Any]) -> tuple[int, list[str]]:
    """Threshold and keys. Raises ValueError that says what is wrong; (0, []) if none are named."""
    if "signing" not in policy:
        return 0, []
    signing = policy["signing"]
    if not isinstance(signing, dict) or signing.keys() != {"threshold", "keys"}:
        raise ValueError("signing is not a table of threshold and keys")
    threshold, keys = signing["threshold"], signing["keys"]
    if type(threshold) is not int or threshold < 1:
        raise ValueError(f"threshold {threshold!r} is not a whole number above 0")
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise ValueError("keys is not a list of texts")
    for key in keys:
        _require_key(key)
    if len({*keys}) != len(keys) or threshold > len(keys):
        raise ValueError("keys are not different, or fewer than the threshold")
    return threshold, keys


def _require_key(key: str) -> None:
    if not _KEY.fullmatch(key):
        raise ValueError(f"key {key[:80]!r} is not 64 lower-case hex digits")
    if is_weak(key):
        raise ValueError(f"key {key[:12]} is no key: everybody can sign under it")


def is_weak(key: str) -> bool:
    """Whether an Ed25519 key, in hex, is a point of small order or no canonical point."""
    y = int.from_bytes(bytes.fromhex(key), "little") & ~_SIGN
    return y >= _PRIME or y in _SMALL
