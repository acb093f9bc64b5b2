"""Bounded waiting: the only place of the package that sleeps.

A bound says how long something takes when it has the machine for itself. On a busy machine nobody
can tell whether it is slow or never happens, so there the same bound lasts longer.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from pytest_spec11.errors import NotObserved

T = TypeVar("T")

GIVE_UP_S: Final = 300.0  # for libraries that demand a bound; only a failure reaches it
_MOST: Final = 12.0  # no wait is longer than its bound times this number
_WINDOW_S: Final = 0.25  # the system counts processor time in hundredths of a second
_ENOUGH: Final = 0.5  # of a processor idle: then the work of others does not hold up the wait
_STAT: Final = Path("/proc/stat")


class Patience:
    """The time left for something. A second counts only as far as a processor was idle in it.

    ``clock`` returns seconds, ``read_idle`` the seconds in which processors were idle.
    """

    def __init__(
        self,
        bound_s: float,
        clock: Callable[[], float] = time.monotonic,
        read_idle: Callable[[], float] | None = None,
    ) -> None:
        self._clock = clock
        self._read_idle = read_idle or _idle_reader()
        self._began_s = self._at_s = clock()
        self._idle_s = self._read_idle()
        self._bound_s = self._left_s = bound_s

    def is_over(self) -> bool:
        """Whether the bound has passed."""
        now_s = self._clock()
        passed_s = now_s - self._at_s
        if passed_s >= min(_WINDOW_S, self._left_s):
            idle_s = self._read_idle()
            spared_s = max(0.0, idle_s - self._idle_s) / _ENOUGH
            self._left_s -= min(passed_s, spared_s)
            self._at_s, self._idle_s = now_s, idle_s
        return self._left_s <= 0 or now_s >= self._began_s + _MOST * self._bound_s

    @property
    def description(self) -> str:
        """The bound in words, with the time that passed if the machine was busy."""
        waited_s = self._clock() - self._began_s
        beside = f" ({waited_s:.0f} s on a busy machine)" if waited_s > self._bound_s + 1 else ""
        return f"{self._bound_s:g} s{beside}"


class Stopwatch:
    """Measures how long something took, to compare it with a bound. It starts now."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        read_idle: Callable[[], float] | None = None,
    ) -> None:
        self._clock = clock
        self._read_idle = read_idle or _idle_reader()
        self._began_s, self._idle_s = clock(), self._read_idle()

    @property
    def own_s(self) -> float:
        """The seconds as far as a processor was idle; at least a twelfth of all seconds."""
        passed_s = self._clock() - self._began_s
        if passed_s < _WINDOW_S:
            return passed_s
        spared_s = (self._read_idle() - self._idle_s) / _ENOUGH
        return max(passed_s / _MOST, min(passed_s, spared_s))

    @property
    def stretch(self) -> float:
        """How much longer it took on a busy machine: a factor for bounds of another clock."""
        passed_s = self._clock() - self._began_s
        return max(1.0, passed_s / max(self.own_s, _WINDOW_S))


def _idle_reader() -> Callable[[], float]:
    return _idle_of_kernel if _STAT.exists() else partial(_idle_by_load, time.monotonic())


def _idle_of_kernel() -> float:
    """Seconds that processors have been idle since the machine started, summed over all."""
    with _STAT.open("rb") as counters:
        return int(counters.readline().split()[4]) / os.sysconf("SC_CLK_TCK")


def _idle_by_load(began_s: float) -> float:
    """The same since ``began_s``, estimated by the load where the system does not count it."""
    spare = max(0.0, (os.cpu_count() or 1) - os.getloadavg()[0])
    return spare * (time.monotonic() - began_s)


def wait_in_turns(wait: Callable[[float], T], deadline_s: float) -> T:
    """What ``wait`` returns, which takes a timeout and raises subprocess.TimeoutExpired.

    The call is repeated until ``deadline_s`` seconds have passed as :class:`Patience` counts them.
    """
    patience = Patience(deadline_s)
    while True:
        try:
            return wait(min(deadline_s, _WINDOW_S))
        except subprocess.TimeoutExpired:
            if patience.is_over():
                raise


_longest_s = float("inf")


def limit_waits(longest_s: float) -> None:
    """No wait of :func:`eventually` that begins from now on has a longer bound."""
    global _longest_s  # noqa: PLW0603  # one per process, as the tests that wait are
    _longest_s = longest_s


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

    Raises NotObserved when ``deadline_s`` seconds have passed as :class:`Patience` counts them. The
    message names the condition and the last reading. An exception of ``read`` ends the wait; a
    ``read`` that may fail for a while returns None instead.
    """
    patience = Patience(min(deadline_s, _longest_s))
    while (seen := read()) is None or not until(seen):
        if patience.is_over():
            wanted = getattr(read, "__qualname__", repr(read))
            raise NotObserved(f"{wanted}: not within {patience.description}, last reading {seen!r}")
        time.sleep(every_s)
    return seen
