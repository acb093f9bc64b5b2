"""Many requests at the same moment, and the proof that they overlapped."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Barrier

from pytest_spec11.oracles.http import Reply
from pytest_spec11.waiting import eventually


@dataclass(frozen=True)
class Answer:
    """One of many replies, with the begin and end of its request by our own clock."""

    reply: Reply
    began_s: float
    ended_s: float

    @property
    def status(self) -> int:
        """The reply's status."""
        return self.reply.status


def at_once(asks: Sequence[Callable[[], Reply]]) -> list[Answer]:
    """Send all at once; return the answers in the order of ``asks``. All threads start together."""
    barrier = Barrier(len(asks))

    def answer(ask: Callable[[], Reply]) -> Answer:
        barrier.wait()
        began_s = time.perf_counter()
        reply = ask()
        return Answer(reply, began_s, time.perf_counter())

    with ThreadPoolExecutor(len(asks)) as pool:
        return list(pool.map(answer, asks))


def rivals(one: Answer, others: Iterable[Answer]) -> int:
    """How many of ``others`` were sent but not answered when ``one`` was answered."""
    return sum(other.began_s < one.ended_s < other.ended_s for other in others)


def not_before(at_s: float, ask: Callable[[], Reply]) -> Reply:
    """Wait until the machine's clock says ``at_s``, then call ``ask``; return the reply."""
    left_s = max(0.001, at_s - time.time())
    eventually(lambda: time.time() >= at_s, deadline_s=left_s + 1, every_s=left_s)
    return ask()
