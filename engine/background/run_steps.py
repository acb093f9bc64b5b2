"""The four steps of a run. Each asks agents or tasks, then stores its results in one transaction.

Every step is safe to repeat: a repeat finds the step's row and returns the stored output (D16).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from engine.background import budgets
from engine.background.agent_calls import Asking, Wish
from engine.background.patches import Patching
from engine.contracts.plans import BuildAnswer, PlanAnswer
from engine.core import plans, results
from engine.core.artifacts import NO_ERROR
from engine.core.canon import Json, digest
from engine.core.executions import Execution
from engine.core.runs import RunState
from engine.store import Tx, steps
from engine.store.pool import Pool
from engine.store.steps import Outcome, Receipt, Subject
from engine.usecases import step_artifacts

COMPILE: Final = "CompileST"
APPLY: Final = "ApplyPatchST"
DECIDE: Final = "DecideST"
EXECUTE: Final = "ExecuteST"


@dataclass(frozen=True, slots=True)
class Stages:
    """The steps, over one pool of connections and the agents."""

    pool: Pool
    asking: Asking
    patching: Patching

    async def compile_plan(self, execution: Execution) -> dict[str, Any]:
        """CompileST: the ``plan`` that the agent proposes, ``constraints`` and ``budget``."""
        subject = await self._subject(execution)
        budget = budgets.parse_limits(subject.budget)
        prompt = plans.plan_prompt(subject.intent)
        wish = Wish(step_id=COMPILE, agent=plans.PLAN, prompt=prompt, shape=PlanAnswer)
        answer, call = await self.asking.ask(subject, wish)
        plan = answer.to_core(subject.intent["goal"])
        made = [step_artifacts.Made("plan_card", "plan.json", plan.document)]
        outcome = Outcome(
            step_id=COMPILE,
            phase="compilation",
            output=plan.document,
            artifacts=step_artifacts.artifacts(subject.run_id, COMPILE, made),
            calls=[call],
        )
        kept = await self._keep(subject, outcome)
        return {"plan": kept, "constraints": subject.intent["constraints"], "budget": budget}

    async def apply_patches(self, execution: Execution, plan: dict[str, Json]) -> dict[str, Any]:
        """ApplyPatchST: writes the patches of the plan and returns the rest of it."""
        subject = await self._subject(execution)
        written = await self.patching.apply(execution, plans.patches(plan))
        made = [
            step_artifacts.Made("patch_apply", f"patch-{entry.patch_index}.json", entry.document)
            for entry in written
        ]
        outcome = Outcome(
            step_id=APPLY,
            phase="patching",
            output=plans.without_patches(plan),
            artifacts=step_artifacts.artifacts(subject.run_id, APPLY, made),
        )
        return await self._keep(subject, outcome)

    async def decide(self, execution: Execution, plan: dict[str, Json]) -> dict[str, Any]:
        """DecideST: the ``build`` of the approved plan, and the queue of its tasks."""
        subject = await self._subject(execution)
        prompt = plans.build_prompt(plan)
        wish = Wish(step_id=DECIDE, agent=plans.BUILD, prompt=prompt, shape=BuildAnswer)
        answer, call = await self.asking.ask(subject, wish)
        build = answer.to_core()
        made = [
            step_artifacts.Made("patch", f"{path}.patch", {"path": path, "diff": diff})
            for path, diff in build.patches
        ]
        outcome = Outcome(
            step_id=DECIDE,
            phase="planning",
            output=build.document,
            artifacts=step_artifacts.artifacts(subject.run_id, DECIDE, made),
            calls=[call],
        )
        kept = await self._keep(subject, outcome)
        place = {"partition": subject.queue_partition_key, "priority": subject.priority}
        return {"build": kept, "place": place}

    async def execute(
        self, execution: Execution, build: dict[str, Json], ended: Sequence[dict[str, Any]]
    ) -> dict[str, Any]:
        """ExecuteST: the results of all tasks, and its receipt. A success also ends the run.

        Its attempt number is the highest of its tasks.
        """
        subject = await self._subject(execution)
        output = results.merge_results(ended)
        decision = digest(build)
        receipt = Receipt(
            receipt_key=digest([subject.run_id, subject.attempt, EXECUTE, decision]),
            payload_hash=decision,
        )
        outcome = Outcome(
            step_id=EXECUTE,
            phase="execution",
            output=output,
            receipts=[receipt],
            word=RunState.SUCCEEDED if output["errCode"] == NO_ERROR else None,
        )
        tries = results.attempts(ended)
        place = await self.pool.insist(steps.place, subject, EXECUTE, tries)
        return await self._keep(replace(subject, attempt=place), outcome)

    async def fail(
        self, execution: Execution, error: str, over: Mapping[str, Any] | None = None
    ) -> None:
        """End the run with ``error``, unless it has ended already.

        If it went ``over`` a limit, the same transaction records this (D6).
        """
        await self.pool.insist(_record_failure, execution, error, over)

    async def _subject(self, execution: Execution) -> Subject:
        return await self.pool.insist(steps.subject, execution.id)

    async def _keep(self, subject: Subject, outcome: Outcome) -> dict[str, Any]:
        return await self.pool.insist(steps.keep, subject, outcome)


async def _record_failure(
    tx: Tx, execution: Execution, error: str, over: Mapping[str, Any] | None
) -> None:
    async with tx.transaction():
        if over is not None:
            await budgets.block(tx, execution, over)
        await steps.fail(tx, execution.id, error)
