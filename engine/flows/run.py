"""RunIntent: plan, patch, ask a person, build, run the tasks, and one end whatever happens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from dbos import DBOS, SetEnqueueOptions, SetWorkflowID, WorkflowHandleAsync

from engine.core.artifacts import NO_ERROR
from engine.core.gates import State
from engine.errors import RunFailed
from engine.flows.steps import number, step
from engine.store.endings import Endings
from engine.usecases.approval import Approval
from engine.usecases.stages import APPLY, COMPILE, DECIDE, EXECUTE, Stages

TASK_QUEUE: Final = "sbxQ"
SLACK_S: Final = 0.05  # beyond the deadline, so that the database agrees that it has passed


@dataclass(frozen=True, slots=True)
class RunFlow:
    """The life of one execution of a run. ``task_flow`` is the workflow that runs one task."""

    stages: Stages
    approval: Approval
    endings: Endings
    task_flow: Any

    async def play(self, execution_id: str) -> dict[str, Any]:
        """What the run put out. Whatever it raises, the run's row has said so before."""
        try:
            return await self._play(execution_id)
        except Exception as error:
            await step("Fail", self.stages.fail, execution_id, str(error) or type(error).__name__)
            raise

    async def _play(self, execution_id: str) -> dict[str, Any]:
        stages = self.stages
        plan = await step(COMPILE, stages.compile_plan, execution_id)
        plan = await step(APPLY, stages.apply_patches, execution_id, plan)
        await self._approved(execution_id)
        build = await step(DECIDE, stages.decide, execution_id, plan)
        ended = await self._ran(build)
        output = await step(EXECUTE, stages.execute, execution_id, build, ended)
        if output["errCode"] != NO_ERROR:
            raise RunFailed(f"SBX execution failed [{output['errCode']}]")
        return {"errCode": output["errCode"], "exit": output["exit"], "tasks": len(ended)}

    async def _approved(self, execution_id: str) -> None:
        """A person said yes. Raises RunFailed for a no and for silence; waiting holds no slot."""
        gate = await step("OpenGate", self._open, execution_id)
        key, left_s = gate["gateKey"], gate["leftS"]
        while True:
            await DBOS.recv_async(gate["topic"], timeout_seconds=left_s + SLACK_S)
            end = await step("CloseGate", self._close, execution_id, key)
            if end["state"] != State.PENDING:
                break
            left_s = end["leftS"]
        if end["decision"] != "yes":
            why = f" (rationale: {end['reason']})" if end["reason"] else ""
            raise RunFailed(f"Plan approval failed: {end['decision']}{why}")

    async def _open(self, execution_id: str) -> dict[str, Any]:
        return await self.approval.open(execution_id, number())

    async def _close(self, execution_id: str, gate_key: str) -> dict[str, Any]:
        return await self.approval.close(execution_id, gate_key, number())

    async def _ran(self, build: dict[str, Any]) -> list[dict[str, Any]]:
        """How every task ended, in the build's order; all are under way before one is awaited."""
        handles = [await self._enqueued(task) for task in build["tasks"]]
        return [await self._result(handle) for handle in handles]

    async def _result(self, handle: WorkflowHandleAsync[dict[str, Any]]) -> dict[str, Any]:
        """What the task came to. The wait leaves no trace; the result, read once, is kept."""
        await self.endings.wait(handle.get_workflow_id())
        return await handle.get_result()

    async def _enqueued(self, task: dict[str, Any]) -> WorkflowHandleAsync[dict[str, Any]]:
        place = SetEnqueueOptions(
            priority=task["priority"], queue_partition_key=task["queuePartitionKey"]
        )
        with SetWorkflowID(task["key"]), place:
            handle: WorkflowHandleAsync[dict[str, Any]] = await DBOS.enqueue_workflow_async(
                TASK_QUEUE, self.task_flow, task["runId"], task["key"], task["cmd"]
            )
            return handle
