"""Wakes pollers of gates: one LISTEN connection, no query while nothing happens (D21)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager

from engine.store.channel import Channel
from engine.store.gates import Gate


class Watch:
    """Shared by all pollers of one gate: one read of the gate, valid until the next notice."""

    def __init__(self) -> None:
        self.pollers = 0
        self._noticed = asyncio.Event()
        self._reads: dict[str, asyncio.Task[Gate]] = {}

    def notify(self) -> None:
        """Forget the read gate, then wake every poller."""
        self._reads.clear()
        self._noticed.set()
        self._noticed = asyncio.Event()

    def next_notice(self) -> asyncio.Event:
        """An event that the next notice sets. Take it before you read, or you may miss a notice."""
        return self._noticed

    async def read(self, wid: str, load: Callable[[], Awaitable[Gate]]) -> Gate:
        """The gate as ``load`` read it since the last notice; concurrent polls share one query."""
        if wid not in self._reads:
            self._reads[wid] = task = asyncio.ensure_future(load())
            task.add_done_callback(lambda done: self._forget_failure(wid, done))
        return await asyncio.shield(self._reads[wid])

    def _forget_failure(self, wid: str, done: asyncio.Task[Gate]) -> None:
        failed = done.cancelled() or done.exception() is not None
        if failed and self._reads.get(wid) is done:
            del self._reads[wid]


class Notices:
    """One LISTEN connection and all pollers. A loss of it wakes every poller to look again."""

    def __init__(self, dsn: str) -> None:
        self._watches: dict[str, Watch] = {}
        self._channel = Channel(dsn, "LISTEN spec11_gates", self._wake_waiters, self._wake_all)
        self._closed = False

    @contextmanager
    def watch(self, gate_key: str) -> Iterator[Watch]:
        """The shared watch of a gate, as long as somebody polls it."""
        watch = self._watches.setdefault(gate_key, Watch())
        watch.pollers += 1
        try:
            yield watch
        finally:
            watch.pollers -= 1
            if not watch.pollers:
                del self._watches[gate_key]

    def is_closed(self) -> bool:
        """Whether all pollers must end because the process ends."""
        return self._closed

    def close(self) -> None:
        """End every poll with its present state."""
        self._closed = True
        self._wake_all()

    def running(self) -> AbstractAsyncContextManager[None]:
        """Listen in the background until the block ends."""
        return self._channel.running()

    @property
    def listening(self) -> bool:
        """Whether it now hears every change of a gate."""
        return self._channel.listening

    def _wake_waiters(self, payload: str) -> None:
        gate_key = payload.rpartition("/")[2]
        if watch := self._watches.get(gate_key):
            watch.notify()

    def _wake_all(self) -> None:
        for watch in list(self._watches.values()):
            watch.notify()
