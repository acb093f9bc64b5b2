"""The slots of queues here: a workflow holds one until it first waits for others (D11)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

from dbos._core import ActiveWorkflowById  # not exported: it counts for a worker's own limits
from typing_extensions import override

from engine.core.queues import Limits


class Slots(ActiveWorkflowById):
    """The executions of this process. One that waits for people or tasks holds no slot.

    The durable engine counts all unfinished workflows of a worker against its limit. With that,
    runs that wait for an answer would keep all others out (B81).
    """

    def __init__(self, limits: Mapping[str, Limits]) -> None:
        super().__init__()
        self._limits = limits
        self._clock = count(1)
        self._turns: dict[str, dict[str, int]] = {}  # by queue: when a partition was asked
        self._shares: dict[str, int] = {}  # by queue: slots for each partition that is asked now

    def due(self, queue_name: str, waiting: Sequence[str]) -> list[str]:
        """The waiting partitions whose turn it is, as many as there are free slots.

        The durable engine asks all of them in random order, and the first takes all free slots.
        Among many busy partitions, one of them would nearly always come before a partition with one
        run (D28).
        """
        limits = self._limits.get(queue_name)
        if limits is None or not waiting:
            return [*waiting]
        if (free := limits.slots - self.count_for_queue(queue_name)) <= 0:
            return []
        asked = self._turns.get(queue_name, {})
        chosen = sorted(waiting, key=lambda key: asked.get(key, 0))[:free]
        now = {key: next(self._clock) for key in chosen}
        self._turns[queue_name] = {key: asked[key] for key in waiting if key in asked} | now
        self._shares[queue_name] = free // len(chosen)
        return chosen

    def leave(self, workflow_id: str) -> None:
        """Free the slot of a workflow that waits for others; it needs no slot to go on."""
        with self._lock:
            held = self._m.get(workflow_id, [])
            held[:] = [None] * len(held)

    @override
    def count_for_partition(self, queue_name: str, queue_partition_key: str | None) -> int:
        """The slots that the partition holds, plus those beyond its share of the free ones.

        The last free slot is for a partition that has none, because tasks may be long.
        """
        held = super().count_for_partition(queue_name, queue_partition_key)
        limits = self._limits.get(queue_name)
        if limits is None or limits.slots_of_one is None:
            return held
        room = self._shares.get(queue_name, 1)
        if held:
            room = min(room, max(0, limits.slots - 1 - self.count_for_queue(queue_name)))
        return max(held, limits.slots_of_one - room)

    @override
    def _remove(self, key: str, bucket: Any) -> None:
        with self._lock:
            buckets = self._m[key]
            buckets.remove(None if None in buckets else bucket)
            if not buckets:
                del self._m[key]
