"""Random draws as a function of a seed: new for every run, equal for its repetition."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from itertools import count
from typing import TypeVar

T = TypeVar("T")


class Dice:
    """A stream of draws."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._throws = count()

    def below(self, limit: int) -> int:
        """A whole number from 0 to ``limit`` - 1."""
        block = sha256(f"{self._seed}/{next(self._throws)}".encode()).digest()
        return int.from_bytes(block[:8]) % limit

    def once_in(self, times: int) -> bool:
        """True once in ``times`` draws, on average."""
        return self.below(times) == 0

    def pick(self, among: Sequence[T]) -> T:
        """One of them."""
        return among[self.below(len(among))]
