"""The floor to measure whole runs against: a workflow of the run's shape that does nothing.

`python -m benchmarks.bare_flow DSN OWNER` prints `ready` and executes `Bare` on bareQ until
SIGTERM, or until the process OWNER has ended. It is polled and woken as the engine is: it claims
from its queues as often, and a notice of the database wakes who waits for a child. Its steps,
events and children are as many as a run has; `runs.py` counts both.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Final

import psycopg
import sqlalchemy
import uvloop
from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer, SetWorkflowID

from engine.cli import owner
from engine.flows.durable import POOL, STEP_THREADS
from engine.flows.queues import PAUSES_S
from engine.store.migrations import sqlalchemy_url

CLAIM_S: Final = min(PAUSES_S.values())
TASKS_AT_ONCE: Final = 8
ANSWER_S: Final = 600
NOTIFY: Final = """
CREATE OR REPLACE FUNCTION app.notify_bare() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('bare_endings', NEW.workflow_uuid);
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER notify_bare AFTER UPDATE OF status ON dbos.workflow_status
    FOR EACH ROW WHEN (NEW.name = 'BareChild' AND NEW.status = 'SUCCESS')
    EXECUTE FUNCTION app.notify_bare();
"""
ENDINGS: Final[dict[str, asyncio.Event]] = {}


@DBOS.step()
async def nothing() -> str:
    """A step whose whole cost is its checkpoint."""
    return "done"


@DBOS.workflow(name="BareChild")
async def child() -> str:
    """One step, as a task has."""
    return await nothing()


@DBOS.workflow(name="Bare")
async def bare() -> str:
    """The run's shape: three steps, a gate, two steps, a child, a step."""
    key = DBOS.workflow_id or ""
    await nothing()
    await nothing()
    await nothing()  # what the run does to open its gate
    await DBOS.set_event_async("prompt", {"key": key})
    await DBOS.recv_async("answer", timeout_seconds=ANSWER_S)
    await nothing()  # … and to close it
    for event in ("result", "audit", "decision"):
        await DBOS.set_event_async(event, {"key": key})
    await nothing()
    ENDINGS[f"{key}-child"] = ended = asyncio.Event()
    with SetWorkflowID(f"{key}-child"):
        task = await DBOS.enqueue_workflow_async("bareChildQ", child)
    await ended.wait()
    await task.get_result()
    return await nothing()


async def wake_parents(dsn: str, listening: asyncio.Event) -> None:
    """Wake each parent when the database says that its child has ended."""
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as line:
        await line.execute(NOTIFY)
        await line.execute("LISTEN bare_endings")
        listening.set()
        async for notice in line.notifies():
            if event := ENDINGS.pop(notice.payload, None):
                event.set()


async def serve(dsn: str) -> None:
    """Execute until SIGTERM."""
    stop, listening = asyncio.Event(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    waking = asyncio.create_task(wake_parents(dsn, listening))
    url = sqlalchemy_url(dsn)
    config: DBOSConfig = {
        "name": "bare",
        "system_database_url": url,
        "system_database_engine": sqlalchemy.create_engine(url, pool_size=POOL, max_overflow=0),
        "application_version": "bare",
        "executor_id": "bare",
        "serializer": DBOSPortableJSONSerializer(),
        "max_executor_threads": STEP_THREADS,
        "run_migrations": False,
        "log_level": "ERROR",
    }
    DBOS(config=config)
    DBOS.launch()
    await DBOS.register_queue_async("bareQ", polling_interval_sec=CLAIM_S)
    await DBOS.register_queue_async(
        "bareChildQ", polling_interval_sec=CLAIM_S, worker_concurrency=TASKS_AT_ONCE
    )
    await listening.wait()
    print("ready", flush=True)
    await asyncio.wait(
        {waking, asyncio.create_task(stop.wait())}, return_when=asyncio.FIRST_COMPLETED
    )
    waking.cancel()
    DBOS.destroy()


if __name__ == "__main__":
    owner.follow(int(sys.argv[2]))
    uvloop.run(serve(sys.argv[1]))
