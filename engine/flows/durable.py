"""The durable engine in this process: its set-up and its workflows."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final

import psycopg
import sqlalchemy
from dbos import DBOS, DBOSClient, DBOSConfig, DBOSPortableJSONSerializer, ScheduleInput

from engine.background.budgets import Budgets
from engine.background.demos import Marks
from engine.background.escalation import Escalation
from engine.background.gate_waits import Waits
from engine.background.patches import Patching
from engine.background.promotion_eval import PromotionEval
from engine.background.queue_polling import QueuePolling, remember
from engine.background.repairs import Repairs
from engine.background.run_steps import Stages
from engine.background.tasks import Tasks
from engine.core import workflows as names
from engine.core.executions import Execution
from engine.core.plans import Task
from engine.core.queues import CONTROL, Limits
from engine.flows import internals, queues
from engine.flows.checkpoints import record_briefly
from engine.flows.demos import Demos
from engine.flows.fanout import Fanout
from engine.flows.internals import WaitingReceivers
from engine.flows.promotion import PromotionFlow
from engine.flows.run import RunFlow
from engine.flows.slots import Slots
from engine.flows.steps import APPLICATION, Steps
from engine.flows.task import TaskFlow
from engine.store.backlog import Backlog
from engine.store.endings import Endings
from engine.store.migrations import sqlalchemy_url
from engine.store.queue_signals import QueueSignals

STEP_THREADS: Final = 16
POOL: Final = 16  # a worker opens at most 40 sessions in all (docs/contract.md, Sessions)
LIST_S: Final = 30.0  # for how long the list of queues is cached: all exist at the start
NOTHING_TO_SEND_S: Final = 60.0  # between looks for events, which we do not send in this way
OUTAGE_S: Final = 20.0  # shorter than the wait for a connection of the pool
TRY_EVERY_S: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Executor:
    """The executor id of this process, and its limits by queue."""

    id: str
    app_version: str
    limits: Mapping[str, Limits]
    tick_s: int


@dataclass(frozen=True, slots=True)
class Work:
    """The parts that the workflows use."""

    steps: Steps
    stages: Stages
    waits: Waits
    patching: Patching
    repairs: Repairs
    budgets: Budgets
    tasks: Tasks
    escalation: Escalation
    marks: Marks
    evaluation: PromotionEval
    endings: Endings
    signals: QueueSignals


async def launch(executor: Executor, dsn: str, work: Work) -> WaitingReceivers:
    """Execute workflows on the running loop, also those of an earlier process of this executor.

    Returns the workflows that wait for messages: the caller must wake them. Only the end of the
    process stops it. Running workflows then stay PENDING and go on when the executor id comes back
    or another executor takes them over.
    """
    url = sqlalchemy_url(dsn)
    settings: DBOSConfig = {
        "name": APPLICATION,
        "system_database_url": url,
        "system_database_engine": open_engine(url),
        "executor_id": executor.id,
        "application_version": executor.app_version,
        "serializer": DBOSPortableJSONSerializer(),
        "max_executor_threads": STEP_THREADS,
        "run_migrations": False,
        "notification_coalesce_sec": NOTHING_TO_SEND_S,
        "log_level": "WARNING",
    }
    durable = DBOS(config=settings)
    slots = Slots(executor.limits)
    internals.count_executions_with(durable, slots)
    ticker = _declare(work, slots)
    await _queues(url, executor.limits)
    DBOS.launch()
    record_briefly(durable)
    internals.choose_partitions_with(durable, slots.due)
    polling = QueuePolling(queues.PAUSES_S, Backlog(dsn))
    internals.poll_queues_when(durable, polling.wait_until_due)
    internals.remember_queues_with(
        durable, settings=remember, names=partial(remember, for_s=LIST_S)
    )
    polling.start()
    if executor.tick_s:
        await DBOS.apply_schedules_async([_schedule(executor.tick_s, ticker)])
    return WaitingReceivers(durable)


def _schedule(tick_s: int, ticker: Any) -> ScheduleInput:
    """A tick every ``tick_s`` seconds on any worker; missed ticks are caught up."""
    return {
        "schedule_name": "ticks",
        "workflow_fn": ticker,
        "schedule": f"*/{tick_s} * * * * *",
        "queue_name": CONTROL,
        "automatic_backfill": True,
    }


def _declare(work: Work, slots: Slots) -> Any:
    """Register every workflow by its name; return the one that the schedule starts."""
    _declare_runs(work, slots)
    _declare_followers(work)
    _declare_promotion(work)
    return _declare_demos(work)


def _declare_runs(work: Work, slots: Slots) -> None:
    """Register the workflows of a run: the run, its repair and its tasks."""
    tasks = TaskFlow(work.steps, work.tasks)

    @DBOS.workflow(name=names.TASK)
    async def run_task(run_id: str, key: str, cmd: str) -> dict[str, Any]:
        return await tasks.play(run_id, Task(key=key, cmd=cmd))

    runs = RunFlow(
        step=work.steps,
        stages=work.stages,
        waits=work.waits,
        patching=work.patching,
        repairs=work.repairs,
        budgets=work.budgets,
        slots=slots,
        fanout=Fanout(work.endings, work.signals, slots, run_task),
    )

    @DBOS.workflow(name=names.RUN)
    async def run_intent(workflow_id: str) -> dict[str, Any]:
        return await runs.start(Execution(id=workflow_id, workflow_id=workflow_id))

    @DBOS.workflow(name=names.REPAIR)
    async def repair_intent(workflow_id: str, attempt: int) -> dict[str, Any]:
        own = DBOS.workflow_id or ""
        return await runs.repair(Execution(id=own, workflow_id=workflow_id, attempt=attempt))


def _declare_followers(work: Work) -> None:
    """Register what comes after a gate's deadline, and after a cancellation."""

    @DBOS.workflow(name=names.ESCALATION)
    async def escalate_timeout(run_id: str, gate_key: str) -> None:
        await work.steps("escalate", work.escalation.tell, run_id, gate_key)

    @DBOS.workflow(name=names.COMPENSATION)
    async def compensate(run_id: str) -> int:
        return await work.steps("TakeBack", work.patching.compensate, run_id)


def _declare_demos(work: Work) -> Any:
    """Register the demonstrations; return the one that the schedule starts."""
    demos = Demos(work.steps, work.marks)

    @DBOS.workflow(name=names.DEMO)
    async def crash_demo(sleep_s: float) -> None:
        await demos.crash(sleep_s)

    @DBOS.workflow(name=names.TICK)
    async def tick(at: datetime, context: object) -> None:
        del context
        await demos.tick(str(at))

    return tick


def _declare_promotion(work: Work) -> None:
    promotion = PromotionFlow(work.steps, work.evaluation)

    @DBOS.workflow(name=names.PROMOTION)
    async def promote_recipe(promotion_id: str, fixtures: list[str]) -> str:
        return await promotion.play(promotion_id, fixtures)


# Canceled, ended or failed over by somebody else; the victim of a deadlock; a lock not had in time.
TRANSIENT: Final = frozenset({"57014", "57P01", "57P02", "57P03", "40P01", "55P03"})


async def _queues(url: str, limits: Mapping[str, Limits]) -> None:
    client = DBOSClient(
        system_database_url=url,
        serializer=DBOSPortableJSONSerializer(),
        application_name=APPLICATION,
    )
    try:
        await queues.register(client, limits)
    finally:
        client.destroy()


def open_engine(url: str) -> sqlalchemy.Engine:
    """Connections that wait while the database is away, so that nothing backs off.

    After a failed connect the durable engine sleeps longer and longer, up to 90 s, and does not
    notice that the database is back. After ``OUTAGE_S`` a refusal must look like a temporary fault.
    The durable engine looks for the words "connection failed", which psycopg does not use for a
    unix socket; without these words it would give up a run for good.
    """
    engine = sqlalchemy.create_engine(url, pool_size=POOL, max_overflow=0, hide_parameters=True)

    @sqlalchemy.event.listens_for(engine, "handle_error")
    def mark_transient(context: sqlalchemy.ExceptionContext) -> None:
        """What an administrator or a failover did to a statement is tried again, as a lost line."""
        if getattr(context.original_exception, "sqlstate", None) in TRANSIENT:
            context.is_disconnect = True
            context.invalidate_pool_on_disconnect = False  # the other connections are whole

    @sqlalchemy.event.listens_for(engine, "do_connect")
    def connect(_: Any, __: Any, args: list[Any], kwargs: dict[str, Any]) -> psycopg.Connection:
        pause, end = threading.Event(), time.monotonic() + OUTAGE_S
        while True:
            try:
                return psycopg.connect(*args, **kwargs)
            except psycopg.OperationalError as error:
                if time.monotonic() > end:
                    raise psycopg.OperationalError(f"connection failed: {error}") from error
                pause.wait(TRY_EVERY_S)

    return engine
