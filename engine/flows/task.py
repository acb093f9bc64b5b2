"""RunTask: one command in the sandbox, tried again if the sandbox could not run it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from dbos import DBOS

from engine.background.tasks import Tasks
from engine.core import results
from engine.core.plans import Task
from engine.core.results import ATTEMPTS
from engine.errors import RunFailed
from engine.flows.steps import Steps

FIRST_PAUSE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class TaskFlow:
    """The workflow of one task: its attempts, and durable pauses between them."""

    step: Steps
    tasks: Tasks

    async def play(self, run_id: str, task: Task) -> dict[str, Any]:
        """Run the task; return its result, or ``budget.over`` if a limit stopped it.

        Raises RunFailed when every attempt failed because of the infrastructure.
        """
        ended: dict[str, Any] = {}
        for attempt in range(1, ATTEMPTS + 1):
            if attempt > 1:
                await DBOS.sleep_async(FIRST_PAUSE_S * 2 ** (attempt - 2))
            ended = await self.step("executeTask", self.tasks.attempt, run_id, task, attempt)
            if ended.get("budget", {}).get("over"):
                return ended
            if not results.is_infrastructure(ended["errCode"]):
                return ended
        why = f"SBX Infra Error [{ended['errCode']}]: {ended['stderr'].strip()}"
        raise RunFailed(f"executeTask exceeded its maximum of {ATTEMPTS} retries: {why}")
