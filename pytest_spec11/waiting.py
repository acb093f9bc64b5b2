"""Bounded waiting: the only place of the package that sleeps."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from pytest_spec11.errors import NotObserved

T = TypeVar("T")


def eventually(
    read: Callable[[], T | None], *, deadline_s: float, every_s: float = 0.02, what: str = ""
) -> T:
    """The first reading that is neither None nor False.

    Raises NotObserved after ``deadline_s`` seconds, with what was waited for and the last reading.
    An exception of ``read`` is not waited out: what may fail for a while says so by None.
    """
    end = time.monotonic() + deadline_s
    while (seen := read()) is None or seen is False:
        if time.monotonic() >= end:
            wanted = what or getattr(read, "__qualname__", repr(read))
            raise NotObserved(f"{wanted}: not within {deadline_s:g} s, last reading {seen!r}")
        time.sleep(every_s)
    return seen
