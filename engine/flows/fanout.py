"""Runs the tasks of a build at the same time, as many as the run's budget allows."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
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
from engine.store.queue_signals import QueueSignals

Handle: TypeAlias = "WorkflowHandleAsync[dict[str, Any]]"


@dataclass(frozen=True, slots=True)
class Fanout:
    """Runs tasks as workflows of their own. ``task_flow`` is the workflow that runs one."""

    endings: Endings
    signals: QueueSignals
    slots: Slots
    task_flow: Any

    async def run_tasks(
        self,
        execution: Execution,
        decided: Mapping[str, Any],
        limits: Limits | None,
        known: Mapping[str, Any],
    ) -> list[dict[str, Any]]:
        """Run every task except ``known`` ones; return the results in the build's order.

        Without a budget all tasks start before it waits for one. Raises OverBudget for too many
        tasks, before any of them begins. Raises the failure of the first failed task in the build's
        order, or OverBudget for the first that exceeded a limit. In both cases no task runs any
        more.
        """
        tasks = execution.tasks(BuildAnswer.model_validate(decided["build"]).to_core())
        if over := budgets.find_excess(limits, {Metric.FANOUT: len(tasks)}):
            raise OverBudget(over)
        wanted = [task for task in tasks if task.cmd not in known]
        under_way: deque[tuple[str, Handle]] = deque()
        try:
            fresh = await self._run(execution, wanted, decided["place"], limits, under_way)
        except Exception:
            await self._await_ends(execution, under_way)
            raise
        ended = {**known, **fresh}
        return [ended[task.cmd] for task in tasks]

    async def _run(
        self,
        execution: Execution,
        tasks: Sequence[Task],
        place: Mapping[str, Any],
        limits: Limits | None,
        under_way: deque[tuple[str, Handle]],
    ) -> dict[str, dict[str, Any]]:
        """The results of ``tasks`` by command. ``under_way`` holds the tasks that still run.

        It waits for them in the order of their starts, so a recovery meets the same failure.
        """
        ended: dict[str, dict[str, Any]] = {}
        minutes = 0
        for task in tasks:
            while not budgets.has_room(limits, minutes, len(under_way)):
                minutes = await self._collect(execution, under_way, ended)
            under_way.append((task.cmd, await self._enqueue_task(execution.run_id, task, place)))
        while under_way:
            await self._collect(execution, under_way, ended)
        return ended

    async def _await_ends(self, execution: Execution, under_way: deque[tuple[str, Handle]]) -> None:
        """Wait until every running task has ended, with any result.

        A failed run takes back its patches, and somebody may repair it: no task may work meanwhile.
        """
        self.slots.leave(execution.id)
        for _, handle in under_way:
            await self.endings.wait(handle.get_workflow_id())

    async def _enqueue_task(self, run_id: str, task: Task, place: Mapping[str, Any]) -> Handle:
        """Enqueue the task, in the partition and with the priority of its run (B52)."""
        options = SetEnqueueOptions(
            priority=place["priority"], queue_partition_key=place["partition"] or NOBODYS
        )
        with SetWorkflowID(task.key), options:
            handle: Handle = await DBOS.enqueue_workflow_async(
                TASKS, self.task_flow, run_id, task.key, task.cmd
            )
        self.signals.send()
        return handle

    async def _collect(
        self,
        execution: Execution,
        under_way: deque[tuple[str, Handle]],
        ended: dict[str, dict[str, Any]],
    ) -> int:
        """Wait for the task that began first; return the minutes billed so far.

        The wait leaves no record; the result is read once and recorded.
        """
        cmd, handle = under_way.popleft()
        self.slots.leave(execution.id)
        await self.endings.wait(handle.get_workflow_id())
        ended[cmd] = await handle.get_result()
        budget = ended[cmd].get("budget", {"minutes": 0, "over": None})
        if budget["over"]:
            raise OverBudget(Excess.of(budget["over"]))
        return int(budget["minutes"])
