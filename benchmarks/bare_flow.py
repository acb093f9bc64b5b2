"""The floor to measure finished runs against: a workflow of the run's shape that does nothing.

`python -m benchmarks.bare_flow DSN` prints `ready` and executes `Bare` on bareQ until SIGTERM:
steps, a prompt event, a wait for one message, three more events and one child on its own queue.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Final

import sqlalchemy
from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer, SetWorkflowID

from engine.store.migrations import sqlalchemy_url

POLL_S: Final = 0.02


@DBOS.step()
async def nothing() -> str:
    """A step whose whole cost is its checkpoint."""
    return "done"


@DBOS.workflow(name="BareChild")
async def child() -> str:
    """One step, as a task has."""
    return await nothing()


@DBOS.workflow(name="Bare")
async def bare(key: str) -> str:
    """The run's shape: two steps, a gate, a step, a child, a step."""
    await nothing()
    await nothing()
    await nothing()  # what the run does to open its gate
    await DBOS.set_event_async("prompt", {"key": key})
    await DBOS.recv_async("answer", timeout_seconds=600)
    await nothing()  # … and to close it
    for event in ("result", "audit", "decision"):
        await DBOS.set_event_async(event, {"key": key})
    await nothing()
    with SetWorkflowID(f"{key}-child"):
        task = await DBOS.enqueue_workflow_async("bareChildQ", child)
    await task.get_result(polling_interval_sec=POLL_S)
    return await nothing()


async def main(dsn: str) -> None:
    """Execute until SIGTERM."""
    url = sqlalchemy_url(dsn)
    config: DBOSConfig = {
        "name": "bare",
        "system_database_url": url,
        "system_database_engine": sqlalchemy.create_engine(url, pool_size=20),
        "application_version": "bare",
        "executor_id": "bare",
        "serializer": DBOSPortableJSONSerializer(),
        "log_level": "ERROR",
    }
    DBOS(config=config)
    DBOS.launch()
    await DBOS.register_queue_async("bareQ", polling_interval_sec=POLL_S)
    await DBOS.register_queue_async("bareChildQ", polling_interval_sec=POLL_S, worker_concurrency=8)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    print("ready", flush=True)
    await stop.wait()
    DBOS.destroy()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
