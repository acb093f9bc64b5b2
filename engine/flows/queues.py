"""The queues as the durable engine is told of them: their limits, and how often one looks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from dbos import DBOSClient
from dbos._queue import QueueRateLimit  # not exported

from engine.core.queues import COMPILE, CONTROL, INTENT, NAMES, TASKS, Limits, Rate
from engine.flows.internals import INTERNAL

# Seconds between two claims from a queue that has work. Nothing is compiled apart from its run yet:
# that queue is there, and empty.
PAUSES_S: Final[Mapping[str, float]] = {
    INTENT: 0.04, TASKS: 0.04, CONTROL: 0.1, COMPILE: 1.0, INTERNAL: 1.0,
}  # fmt: skip
# What its thread sleeps before it waits for its turn, and what it backs off from in a conflict.
TURN_S: Final = 0.002


async def register(client: DBOSClient, limits: Mapping[str, Limits]) -> None:
    """Every queue is there with these limits; who registers last is right.

    It has to be before the first look for them, which would miss them for a second.
    """
    for name in NAMES:
        known = _settings(limits[name]) if name in limits else {}
        await client.register_queue_async(name, polling_interval_sec=TURN_S, **known)


def _settings(limits: Limits) -> dict[str, Any]:
    """The limits in the durable engine's words; any of a partition makes the queue partitioned."""
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
