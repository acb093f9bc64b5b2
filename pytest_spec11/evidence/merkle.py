"""One digest over many records: the Merkle tree of RFC 6962, with the records' sha256 as its data.

``verify`` has a tree of its own; the vectors in ``tests/golden/`` hold both to the standard.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256


def root(digests: Iterable[bytes]) -> str:
    """The root over ``digests`` in their order: 64 hex digits; that of nothing is sha256 of b""."""
    level = [sha256(b"\0" + each).digest() for each in digests]
    if not level:
        return sha256(b"").hexdigest()
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=False)
        alone = level[-1:] if len(level) % 2 else []
        level = [sha256(b"\1" + left + right).digest() for left, right in pairs] + alone
    return level[0].hex()
