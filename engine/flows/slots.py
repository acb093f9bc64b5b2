"""Who holds a slot of a queue here: a workflow does, until it first waits for others (D11)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

from dbos._core import ActiveWorkflowById  # not exported: what a worker's own limits are counted by
from typing_extensions import override

from engine.core.queues import Limits


class Slots(ActiveWorkflowById):
    """The executions of this process. One that waits for people or for its tasks costs no slot.

    The durable engine knows a worker's limit as a bound of what it has not finished, so that runs
    that wait for an answer would keep all others out (B81).
    """

    def __init__(self, limits: Mapping[str, Limits]) -> None:
        super().__init__()
        self._limits = limits
        self._clock = count(1)
        self._turns: dict[str, dict[str, int]] = {}  # of each queue: when a partition was asked
        self._shares: dict[str, int] = {}  # of each queue: slots for each that is asked now

    def due(self, queue_name: str, waiting: Sequence[str]) -> list[str]:
        """Of the partitions that wait those whose turn it is: as many as there are free slots.

        The durable engine asks all of them in an order of chance, and the first takes what there
        is: of many that flood one would nearly always be before who has but one run (D28).
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
        """The workflow waits for others; it does not queue for a slot again when it goes on."""
        with self._lock:
            held = self._m.get(workflow_id, [])
            held[:] = [None] * len(held)

    @override
    def count_for_partition(self, queue_name: str, queue_partition_key: str | None) -> int:
        """Slots that the partition holds, or may not have now: it has its share of what is free.

        The last one is for a partition that has none: tasks may be long.
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
