"""Decides when this process asks its queues for work: after a look at all queues found some.

One thread looks, and only after a signal that something was enqueued. Threads that serve a queue
sleep until it has work.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, Protocol, TypeVar

from engine.store.pool import AWAY

log = logging.getLogger(__name__)
LOOK_S: Final = 0.02  # to the next look, after a look that found work
EAGER_S: Final = 2.0  # after the start, when old workflows return without a signal
FALLBACK_S: Final = 1.0  # to the next look without a signal
BELIEVED_S: Final = 1.0  # for how long the settings of a queue stay valid
AWAY_S: Final = 0.25  # to the next look, after a look that failed
T = TypeVar("T")


class Backlog(Protocol):
    """The database, for one thread. Each method may raise one of ``AWAY``."""

    def find_waiting(self, names: Collection[str]) -> frozenset[str]:
        """The queues in which a workflow waits."""

    def wait_for_signal(self, timeout_s: float) -> None:
        """Wait until something was enqueued since the last look began, or for the timeout."""


class QueuePolling:
    """Looks on behalf of all threads that serve a queue. Each of them waits here for its turn.

    ``pauses_s`` has the seconds between two claims for each queue.
    """

    def __init__(
        self,
        pauses_s: Mapping[str, float],
        backlog: Backlog,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pauses_s = pauses_s
        self._backlog = backlog
        self._now_s = now_s
        self._found: frozenset[str] = frozenset()
        self._changed = threading.Condition()
        self._next_turn = dict.fromkeys(pauses_s, 0.0)

    def start(self) -> None:
        """Look until the process ends."""
        threading.Thread(target=self._look_for_ever, name="queue-polling", daemon=True).start()

    def wait_until_due(self, queue: str) -> bool:
        """Return when something waits in that queue and its pause since the last claim is over.

        False after a wait so long that the caller's settings of the queue may be old: the caller
        must read them again and call again.
        """
        if queue not in self._pauses_s:
            return True
        with self._changed:
            began = self._now_s()
            while (now := self._now_s()) < self._next_turn[queue] or queue not in self._found:
                self._changed.wait(self._left_s(queue, now))
            if now - began > BELIEVED_S:
                return False
            self._next_turn[queue] = now + self._pauses_s[queue]
            self._found -= {queue}  # until the next look finds more
            return True

    def _left_s(self, queue: str, now: float) -> float | None:
        return self._next_turn[queue] - now if queue in self._found else None

    def _look_for_ever(self) -> None:
        pause = threading.Event()
        eager_until = self._now_s() + EAGER_S
        while True:
            try:
                if self.look() or self._now_s() < eager_until:
                    pause.wait(LOOK_S)
                else:
                    self._backlog.wait_for_signal(FALLBACK_S)
            except AWAY as error:
                log.warning("queues wait for the database: %s", type(error).__name__)
                pause.wait(AWAY_S)

    def look(self) -> frozenset[str]:
        """Find the queues with work and wake the threads that wait for them."""
        found = self._backlog.find_waiting(self._pauses_s)
        with self._changed:
            self._found = found
            if found:
                self._changed.notify_all()
        return found


def remember(ask: Callable[..., T], for_s: float = BELIEVED_S) -> Callable[..., T]:
    """Cache the answers of ``ask`` by its arguments, each for ``for_s`` seconds."""
    answers: dict[Any, tuple[float, T]] = {}

    def answer(*words: Any, **more: Any) -> T:
        now = time.monotonic()
        key = words, tuple(more.items())
        until, known = answers.get(key, (0.0, None))
        if known is None or now >= until:
            known = ask(*words, **more)
            answers[key] = (now + for_s, known)
        return known

    return answer
