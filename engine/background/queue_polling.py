"""When this process asks its queues for work: only where one look at all of them found some."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, TypeVar

from engine.store.pool import AWAY

log = logging.getLogger(__name__)
LOOK_S: Final = 0.02  # between looks
KEPT_S: Final = 1.0  # how long the settings of a queue are believed
AWAY_S: Final = 0.5  # until the next look after one that failed
T = TypeVar("T")
Work = Callable[[Collection[str]], frozenset[str]]


class Lookout:
    """Looks for all threads that serve a queue; safe for them to ask at any rate.

    The durable engine asks each queue in two or three transactions at every poll, whether or not
    anything waits there: a worker with nothing to do took a fifth of a core to find that out.
    """

    def __init__(
        self, pauses_s: Mapping[str, float], work: Work, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._pauses_s = pauses_s
        self._work = work
        self._now_s = now_s
        self._lock = threading.Lock()
        self._next_look = 0.0
        self._found: frozenset[str] = frozenset()
        self._next_turn = dict.fromkeys(pauses_s, 0.0)

    def due(self, queue: str) -> bool:
        """Whether something waits in that queue, and it was not asked only just now."""
        if queue not in self._pauses_s:
            return True
        with self._lock:
            now = self._now_s()
            if now < self._next_turn[queue] or queue not in self._seen(now):
                return False
            self._next_turn[queue] = now + self._pauses_s[queue]
            return True

    def _seen(self, now: float) -> frozenset[str]:
        if now >= self._next_look:
            self._next_look = now + LOOK_S
            try:
                self._found = self._work(self._pauses_s)
            except AWAY as error:
                log.warning("queues wait for the database: %s", type(error).__name__)
                self._found, self._next_look = frozenset(), now + AWAY_S
        return self._found


def kept(ask: Callable[..., T]) -> Callable[..., T]:
    """The same answers, each believed for a while by all who ask with one word and no more."""
    answers: dict[str, tuple[float, T]] = {}

    def answer(name: str, **more: Any) -> T:
        now = time.monotonic()
        until, known = answers.get(name, (0.0, None))
        if more or known is None or now >= until:
            known = ask(name, **more)
            answers[name] = (now + KEPT_S, known)
        return known

    return answer
