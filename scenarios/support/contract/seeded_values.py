"""Generated values: new for every run, equal for every repetition of that run."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from itertools import count, islice

# Scripts whose order, width or escape is different in UTF-8, UTF-16 and JSON.
_ALPHABETS = (
    range(0x20, 0x7F),
    range(0xA1, 0x180),
    range(0x391, 0x3C9),
    range(0x4E00, 0x4F00),
    range(0xE000, 0xE040),
    range(0x1F300, 0x1F5FF),
    (0x09, 0x0A, 0x0D, 0x22, 0x2F, 0x5C, 0x7F, 0x2028, 0x2029, 0xFEFF),
)
_CHARACTERS = [chr(point) for alphabet in _ALPHABETS for point in alphabet]


def texts(seed: str, size: int) -> list[tuple[str, str]]:
    """``size`` different pairs of non-empty texts, a function of ``seed``."""
    return list(islice(zip(_words(f"{seed}/left"), _words(f"{seed}/right"), strict=False), size))


def _words(seed: str) -> Iterator[str]:
    for number in count():
        block = sha256(f"{seed}/{number}".encode()).digest()
        length = 1 + block[0] % 15
        points = (int.from_bytes(block[at * 2 : at * 2 + 2]) for at in range(1, length + 1))
        yield "".join(_CHARACTERS[point % len(_CHARACTERS)] for point in points)
