"""The queues as the durable engine gets them: their limits, and the pauses between looks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from dbos import DBOSClient
from dbos._queue import QueueRateLimit  # not exported

from engine.core.queues import COMPILE, CONTROL, INTENT, NAMES, TASKS, Limits, Rate
from engine.flows.internals import INTERNAL

# Seconds between two claims from a queue that has work. The queue for compilations exists but is
# empty, because a run compiles by itself.
PAUSES_S: Final[Mapping[str, float]] = {
    INTENT: 0.04, TASKS: 0.04, CONTROL: 0.1, COMPILE: 1.0, INTERNAL: 1.0,
}  # fmt: skip
# Its thread sleeps this long before it waits for its turn, and backs off from it after a conflict.
TURN_S: Final = 0.002


async def register(client: DBOSClient, limits: Mapping[str, Limits]) -> None:
    """Register every queue with these limits; the last registration counts.

    Call it before the first look for queues, which would miss them for a second.
    """
    for name in NAMES:
        known = _settings(limits[name]) if name in limits else {}
        await client.register_queue_async(name, polling_interval_sec=TURN_S, **known)


def _settings(limits: Limits) -> dict[str, Any]:
    """The limits in the durable engine's terms; a limit of one partition partitions the queue."""
    return {
        "worker_concurrency": limits.slots,
        "partition_worker_concurrency": limits.slots_of_one,
        "global_concurrency": limits.everywhere,
        "partition_concurrency": limits.slots_of_one_everywhere,
        "limiter": _limiter(limits.rate),
        "partition_limiter": _limiter(limits.rate_of_one),
    }


def _limiter(rate: Rate | None) -> QueueRateLimit | None:
    return None if rate is None else {"limit": rate.starts, "period": rate.period_s}
