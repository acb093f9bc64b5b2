"""RunIntent: plan, patch, ask people, build, run the tasks, and exactly one end."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dbos import DBOS

from engine.background.budgets import Budgets
from engine.background.gate_waits import Waits
from engine.background.patches import Patching
from engine.background.repairs import Repairs
from engine.background.run_steps import APPLY, COMPILE, DECIDE, EXECUTE, Stages
from engine.core import constraints, identity
from engine.core.artifacts import NO_ERROR
from engine.core.budgets import Excess, OverBudget
from engine.core.executions import Execution
from engine.core.gates import Ask
from engine.errors import RunFailed
from engine.flows.fanout import Fanout
from engine.flows.slots import Slots
from engine.flows.steps import Steps
from engine.store.faults import describe_failure

NOTHING: Final[Mapping[str, Any]] = {
    "compiled": None, "asked": False, "granted": False, "decided": None, "succeeded": {},
}  # fmt: skip
SLACK_S: Final = 0.05  # beyond the deadline, so that it has also passed for the database


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFlow:
    """The workflow of one execution of a run."""

    step: Steps
    stages: Stages
    waits: Waits
    patching: Patching
    repairs: Repairs
    budgets: Budgets
    slots: Slots
    fanout: Fanout

    async def start(self, execution: Execution) -> dict[str, Any]:
        """Run from the beginning; return the output."""
        await self._made_good(execution)
        return await self._run_guarded(execution, self._play(execution, NOTHING))

    async def repair(self, execution: Execution) -> dict[str, Any]:
        """Go on with what an earlier execution completed (D14); return the output."""
        await self._made_good(execution)
        return await self._run_guarded(execution, self._repair(execution))

    async def _run_guarded(
        self, execution: Execution, work: Awaitable[dict[str, Any]]
    ) -> dict[str, Any]:
        """Return the result of ``work``; if it raises, first record this in the run's row."""
        try:
            return await work
        except Exception as error:
            source = describe_failure(error)
            said = await self.step("Rollback", self.patching.undo, execution, source)
            over = error.excess.document if isinstance(error, OverBudget) else None
            await self.step("Fail", self.stages.fail, execution, said, over)
            if said == str(error):
                raise
            raise RunFailed(said) from error

    async def _made_good(self, execution: Execution) -> None:
        """Write patches again that a cancellation took back.

        It records no step, so the numbers of the steps do not depend on the number of resumptions.
        """
        try:
            await self.patching.reapply(execution)
        except RunFailed as error:
            said = await self.patching.undo(execution, str(error))
            await self.stages.fail(execution, said)
            raise RunFailed(said) from error

    async def _repair(self, execution: Execution) -> dict[str, Any]:
        return await self._play(
            execution, await self.step("Known", self.repairs.load_known_work, execution)
        )

    async def _play(self, execution: Execution, known: Mapping[str, Any]) -> dict[str, Any]:
        stages = self.stages
        compiled = known["compiled"] or await self.step(COMPILE, stages.compile_plan, execution)
        given, budget = compiled["constraints"], compiled["budget"]
        await self._within(execution, budget)
        if (asks := constraints.questions(given)) and not known["asked"]:
            await self._await_answers(execution, asks, "Ask-user gate timed out")
        plan = await self.step(APPLY, stages.apply_patches, execution, compiled["plan"])
        await self._within(execution, budget)
        if not known["granted"]:
            await self._await_answers(
                execution, constraints.approvals(given), "Plan approval failed: no"
            )
        decided = known["decided"] or await self.step(DECIDE, stages.decide, execution, plan)
        await self._within(execution, budget)
        ended = await self.fanout.run_tasks(execution, decided, budget, known["succeeded"])
        await self._within(execution, budget)
        output = await self.step(EXECUTE, stages.execute, execution, decided["build"], ended)
        if output["errCode"] != NO_ERROR:
            raise RunFailed(f"SBX execution failed [{output['errCode']}]")
        return {"errCode": output["errCode"], "exit": output["exit"], "tasks": len(ended)}

    async def _within(self, execution: Execution, budget: Mapping[str, int] | None) -> None:
        """Check the run's budget, if it has one. Raises OverBudget.

        The result of the check is recorded, so a repeat comes to the same decision.
        """
        if budget is None:
            return
        if over := await self.step("Budget", self.budgets.look, execution):
            raise OverBudget(Excess.of(over))

    async def _await_answers(self, execution: Execution, asks: Sequence[Ask], refused: str) -> None:
        """Wait until people let the run go on. Raises RunFailed for a no and for a missed deadline.

        Waiting costs a coroutine: no thread, no slot of a queue (D11).
        """
        keys = execution.gate_keys(asks)
        stands = await self.step.run_numbered("OpenGate", self.waits.begin, execution, asks)
        self.slots.leave(execution.id)
        while "leftS" in stands:
            wait_s = stands["leftS"] + SLACK_S
            await DBOS.recv_async(identity.topic(keys[0]), timeout_seconds=wait_s)
            stands = await self.step.run_numbered("CloseGate", self.waits.look, execution, keys)
        if refusal := stands["refusal"]:
            why = f" (rationale: {refusal['reason']})" if refusal["reason"] else ""
            raise RunFailed(f"{refused}{why}")
