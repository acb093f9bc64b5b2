"""Who holds a slot of a queue here: a workflow does, until it first waits for others (D11)."""

from __future__ import annotations

from typing import Any

from dbos import DBOS
from dbos._core import ActiveWorkflowById  # not exported: what a worker's own limits are counted by
from typing_extensions import override


class Slots(ActiveWorkflowById):
    """The executions of this process. One that waits for people or for its tasks costs no slot.

    The durable engine knows a worker's limit as a bound of what it has not finished, so that runs
    that wait for an answer would keep all others out (B81).
    """

    @classmethod
    def of(cls, durable: DBOS) -> Slots:
        """The slots of ``durable``, which has claimed nothing yet."""
        slots = cls()
        durable._active_workflows_set = slots  # noqa: SLF001  # there is no other way to be asked
        return slots

    def leave(self, workflow_id: str) -> None:
        """The workflow waits for others; it does not queue for a slot again when it goes on."""
        with self._lock:
            held = self._m.get(workflow_id, [])
            held[:] = [None] * len(held)

    @override
    def _remove(self, key: str, bucket: Any) -> None:
        with self._lock:
            buckets = self._m[key]
            buckets.remove(bucket if bucket in buckets else None)
            if not buckets:
                del self._m[key]
