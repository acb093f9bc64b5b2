"""Canonical JSON, digests and the Merkle tree (RFC 8785, RFC 6962): the verifier's own."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import IO, Any, Final, NoReturn

import rfc8785

_CHUNK: Final = 1 << 20


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key twice")
    return made


parse: Final = json.JSONDecoder(parse_constant=_no_constant).raw_decode
parse_once: Final = json.JSONDecoder(parse_constant=_no_constant, object_pairs_hook=_once).decode
# It writes the keys in the order in which it read them, so equal text has no double key and nothing
# superfluous. This is quick and right for nearly all values; otherwise the slow way decides.
quick: Final = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, separators=(",", ":")
).encode


def is_canonical(value: Any, text: str) -> bool:
    """Whether ``text`` is the canonical JSON of ``value``. Raises ValueError when it has none."""
    return quick(value) == text or rfc8785.dumps(value).decode() == text


def is_line(value: Any, text: str) -> bool:
    """Whether ``text`` is the canonical JSON of ``value`` and a newline."""
    return text[-1:] == "\n" and is_canonical(value, text[:-1])


def is_sealed(document: Mapping[str, Any], text: str) -> bool:
    """Whether ``sum`` is the digest of the rest. Raises ValueError when it has no canonical JSON.

    Canonical text stays canonical without one member; the slow way is for other text.
    """
    bare = {name: value for name, value in document.items() if name != "sum"}
    same = quick(document) == text.removesuffix("\n")
    found = sha256(quick(bare).encode()).hexdigest() if same else digest(bare)
    return found == document.get("sum")


def digest(value: Any) -> str:
    """sha256 of the canonical JSON of ``value``. Raises ValueError when it has none."""
    return sha256(rfc8785.dumps(value)).hexdigest()


def has_digest(value: Any, said: str, size: int) -> bool:
    """Whether ``value`` has that digest and that many bytes."""
    try:
        content = quick(value).encode()
        if sha256(content).hexdigest() != said:
            content = rfc8785.dumps(value)
        return len(content) == size and sha256(content).hexdigest() == said
    except (ValueError, TypeError, RecursionError):
        return False


def of_file(file: IO[bytes]) -> str:
    """sha256 of a file, read in pieces."""
    total = sha256()
    while chunk := file.read(_CHUNK):
        total.update(chunk)
    return total.hexdigest()


class Tree:
    """A Merkle tree that grows leaf by leaf and keeps only its right edge."""

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        self._edge: list[bytes] = []
        self._count = 0
        for leaf in leaves:
            self.add(leaf)

    def add(self, leaf: bytes) -> None:
        """Add a leaf on the right."""
        node = sha256(b"\0" + leaf).digest()
        count = self._count
        while count & 1:
            node = sha256(b"\1" + self._edge.pop() + node).digest()
            count >>= 1
        self._edge.append(node)
        self._count += 1

    @property
    def root(self) -> str:
        """The root over all leaves: 64 hex digits."""
        if not self._edge:
            return sha256(b"").hexdigest()
        node, *others = reversed(self._edge)
        for left in others:
            node = sha256(b"\1" + left + node).digest()
        return node.hex()
