"""The tasks of a build under way at once, as many as the run's budget has room for."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from dbos import DBOS, SetEnqueueOptions, SetWorkflowID, WorkflowHandleAsync

from engine.contracts.plans import BuildAnswer
from engine.core import budgets
from engine.core.budgets import Excess, Limits, Metric, OverBudget
from engine.core.executions import Execution
from engine.core.plans import Task
from engine.core.queues import NOBODYS, TASKS
from engine.flows.slots import Slots
from engine.store.endings import Endings

Handle: TypeAlias = "WorkflowHandleAsync[dict[str, Any]]"


@dataclass(frozen=True, slots=True)
class Fanout:
    """Runs tasks as workflows of their own. ``task_flow`` is the workflow that runs one."""

    endings: Endings
    slots: Slots
    task_flow: Any

    async def ended(
        self,
        execution: Execution,
        decided: Mapping[str, Any],
        limits: Limits | None,
        known: Mapping[str, Any],
    ) -> list[dict[str, Any]]:
        """How every task ended, in the build's order; those of ``known`` are not run again.

        Without a budget all are under way before one is awaited. Raises OverBudget: for too many
        tasks before any of them begins, else for the first that went too far.
        """
        tasks = execution.tasks(BuildAnswer.model_validate(decided["build"]).to_core())
        if over := budgets.exceeded(limits, {Metric.FANOUT: len(tasks)}):
            raise OverBudget(over)
        ended, minutes = {**known}, 0
        under_way: deque[tuple[str, Handle]] = deque()
        for task in tasks:
            if task.cmd not in known:
                while not budgets.has_room(limits, minutes, len(under_way)):
                    minutes = await self._collect(execution, under_way, ended)
                handle = await self._enqueued(execution.run_id, task, decided["place"])
                under_way.append((task.cmd, handle))
        while under_way:
            await self._collect(execution, under_way, ended)
        return [ended[task.cmd] for task in tasks]

    async def _enqueued(self, run_id: str, task: Task, place: dict[str, Any]) -> Handle:
        """The task under way, in the partition and with the priority of its run (B52)."""
        options = SetEnqueueOptions(
            priority=place["priority"], queue_partition_key=place["partition"] or NOBODYS
        )
        with SetWorkflowID(task.key), options:
            handle: Handle = await DBOS.enqueue_workflow_async(
                TASKS, self.task_flow, run_id, task.key, task.cmd
            )
            return handle

    async def _collect(
        self,
        execution: Execution,
        under_way: deque[tuple[str, Handle]],
        ended: dict[str, dict[str, Any]],
    ) -> int:
        """The minutes billed so far, once the task that began first has ended.

        The wait leaves no trace; the result, read once, is kept.
        """
        cmd, handle = under_way.popleft()
        self.slots.leave(execution.id)
        await self.endings.wait(handle.get_workflow_id())
        ended[cmd] = await handle.get_result()
        budget = ended[cmd].get("budget", {"minutes": 0, "over": None})
        if budget["over"]:
            raise OverBudget(Excess.of(budget["over"]))
        return int(budget["minutes"])
