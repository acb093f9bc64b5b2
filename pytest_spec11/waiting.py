"""Bounded waiting: the only place of the package that sleeps."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from pytest_spec11.errors import NotObserved

T = TypeVar("T")


def _there(reading: object) -> bool:
    return reading is not None and reading is not False


def eventually(
    read: Callable[[], T | None],
    *,
    deadline_s: float,
    every_s: float = 0.02,
    until: Callable[[T], bool] = _there,
) -> T:
    """The first reading that is not None and satisfies ``until`` (by default: is not False).

    Raises NotObserved after ``deadline_s`` seconds, with what was waited for and the last reading.
    An exception of ``read`` is not waited out: what may fail for a while says so by None.
    """
    end = time.monotonic() + deadline_s
    while (seen := read()) is None or not until(seen):
        if time.monotonic() >= end:
            wanted = getattr(read, "__qualname__", repr(read))
            raise NotObserved(f"{wanted}: not within {deadline_s:g} s, last reading {seen!r}")
        time.sleep(every_s)
    return seen
