"""The worker process: one executor of the durable engine. It executes and never serves HTTP."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import sys
from importlib import resources
from pathlib import Path
from typing import Final, Never

import uvloop

from engine import logs
from engine.background import reconcile
from engine.background.agent_calls import Asking
from engine.background.budgets import Budgets
from engine.background.demos import Marks
from engine.background.escalation import Escalation
from engine.background.executor_lease import Presence
from engine.background.gate_waits import Waits
from engine.background.patches import Patching
from engine.background.promotion_eval import PromotionEval
from engine.background.repairs import Repairs
from engine.background.run_steps import Stages
from engine.background.tasks import Tasks
from engine.config import Config
from engine.flows import durable
from engine.flows.durable import Executor, Work
from engine.flows.steps import Steps
from engine.ports.evals import Evals
from engine.ports.oc import Agents
from engine.ports.oc.replay import Replay
from engine.ports.sbx import providers
from engine.ports.workspace.directory import Directory
from engine.store.dsn import session
from engine.store.endings import Endings
from engine.store.executors import Identity, session_name
from engine.store.messages import Messages
from engine.store.pool import Pool
from engine.store.queue_signals import QueueSignals

log = logging.getLogger(__name__)
STEPS_AT_ONCE: Final = 16
STEP_S: Final = 60.0  # nobody waits at the other end, and the largest plan is many megabytes
LOST: Final = 5


def serve(config: Config, dsn: str) -> int:
    """Never returns: the process ends. Raises InUse when another process is the executor.

    Exit 0 after SIGTERM or SIGINT, 5 when others took over what it was running. Either way it
    ends as it would by SIGKILL, which it has to survive anyway: nothing is drained, nothing is
    half-way wound up, and what was under way goes on where its executor id comes back.
    """
    logs.begin()
    return uvloop.run(_serve(config, dsn))


async def _serve(config: Config, dsn: str) -> Never:
    dsn = session(dsn, session_name(config.runtime.executor_id))
    stop = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stop.set)
    pool = Pool(dsn, STEPS_AT_ONCE, STEP_S)
    executor = Executor(
        id=config.runtime.executor_id,
        app_version=config.runtime.app_version,
        limits=config.limits,
        tick_s=config.timing.tick_s,
    )
    endings, signals = Endings(dsn, pool), QueueSignals(dsn)
    lease = Presence(dsn, _identity(config), signals)
    async with signals.running(), lease.hold_lease() as presence, endings.running():
        work = _work(config, pool, endings, signals)
        receivers = await durable.launch(executor, dsn, work)
        messages = Messages(dsn, pool, receivers)
        receivers.report_failed_looks(messages.request_look)
        async with messages.running():
            sys.stdout.write(f"worker {executor.id} ready\n")
            sys.stdout.flush()
            stopped = asyncio.create_task(stop.wait())
            reconciling = asyncio.create_task(reconcile.for_ever(pool))
            tasks = {stopped, presence, reconciling}
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if failed := next((task for task in (presence, reconciling) if task.done()), None):
                log.error("not the executor any more: %r", failed.exception())
                os._exit(LOST)
    os._exit(0)


def _identity(config: Config) -> Identity:
    return Identity(
        executor_id=config.runtime.executor_id,
        incarnation=secrets.token_hex(8),
        app_version=config.runtime.app_version,
        pid=os.getpid(),
    )


def _work(config: Config, pool: Pool, endings: Endings, signals: QueueSignals) -> Work:
    patching = Patching(pool, Directory(config.folders.workspace))
    agents, sandbox = _agents(config), providers.sandbox(config.sandboxes.settings)
    return Work(
        steps=Steps(pool),
        stages=Stages(pool, Asking(pool, agents), patching),
        waits=Waits(pool),
        patching=patching,
        repairs=Repairs(pool),
        budgets=Budgets(pool),
        escalation=Escalation(pool),
        marks=Marks(pool),
        tasks=Tasks(pool, sandbox),
        evaluation=PromotionEval(pool, agents, sandbox, Evals()),
        endings=endings,
        signals=signals,
    )


def _agents(config: Config) -> Agents:
    """Whoever answers in this mode (D34)."""
    shipped = Path(str(resources.files("engine.seed") / "oc"))
    if config.agents.mode == "replay":
        given = [] if config.agents.fixtures_dir is None else [config.agents.fixtures_dir]
        return Replay(given if config.agents.fixtures_only else [*given, shipped])
    return _live_agents(config, Replay([shipped]))


def _live_agents(config: Config, stub: Replay) -> Agents:
    """Agents of a server; its HTTP client and schemas cost a start that replays much time."""
    from engine.ports.oc.daemon import Daemon  # noqa: PLC0415  # see above
    from engine.ports.oc.fallback import Fallback  # noqa: PLC0415  # as above
    from engine.ports.oc.live import Live  # noqa: PLC0415  # as above
    from engine.ports.oc.record import Record  # noqa: PLC0415  # as above

    live = Live(Daemon(config.agents.base_url), config.agents.timeout_ms / 1000)
    if config.agents.mode == "record":  # always strict: nobody asked for a stub to be recorded
        return Record(live, config.record_dir)
    return live if config.agents.strict else Fallback(live, stub)
