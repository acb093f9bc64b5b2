"""One digest over many records: the Merkle tree of RFC 6962 over the sha256 of each record.

``verify`` has an implementation of its own; one test compares both with the standard.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256


class MerkleTree:
    """The tree over the digests so far. It keeps one node per full subtree: about log2(n)."""

    def __init__(self) -> None:
        self._subtrees: list[tuple[int, bytes]] = []  # height and root, the highest first

    def append(self, digest: bytes) -> None:
        """Add the next digest."""
        height, node = 0, sha256(b"\0" + digest).digest()
        while self._subtrees and self._subtrees[-1][0] == height:
            node = _join(self._subtrees.pop()[1], node)
            height += 1
        self._subtrees.append((height, node))

    @property
    def root(self) -> str:
        """64 hex digits. The root of an empty tree is sha256 of b""."""
        if not self._subtrees:
            return sha256(b"").hexdigest()
        *rest, (_, node) = self._subtrees
        for _, left in reversed(rest):
            node = _join(left, node)
        return node.hex()


def root(digests: Iterable[bytes]) -> str:
    """The root over ``digests`` in their order."""
    tree = MerkleTree()
    for each in digests:
        tree.append(each)
    return tree.root


def _join(left: bytes, right: bytes) -> bytes:
    return sha256(b"\1" + left + right).digest()
