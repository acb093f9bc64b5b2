"""The four steps of a run: each asks whom it must, then keeps all it made in one transaction.

Every step is safe to repeat: a repeat finds the step's row and returns what it put out (D16).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from engine.contracts.plans import BuildAnswer, PlanAnswer
from engine.core import plans, results
from engine.core.artifacts import NO_ERROR
from engine.core.canon import Json, digest
from engine.core.plans import Task
from engine.core.runs import Word
from engine.ports.oc import Agents
from engine.store import steps
from engine.store.pool import Pool
from engine.store.steps import Outcome, Receipt, Subject
from engine.usecases import asking, leaving

COMPILE: Final = "CompileST"
APPLY: Final = "ApplyPatchST"
DECIDE: Final = "DecideST"
EXECUTE: Final = "ExecuteST"


@dataclass(frozen=True, slots=True)
class Stages:
    """The steps, over one pool of connections and whoever answers for the agents."""

    pool: Pool
    agents: Agents

    async def compile_plan(self, execution_id: str) -> dict[str, Any]:
        """CompileST: the plan that the agent proposes for the intent. Raises RunFailed."""
        subject = await self._subject(execution_id)
        question = asking.question(
            subject, plans.PLAN, plans.plan_prompt(subject.intent), PlanAnswer
        )
        answer = await self.agents.ask(question)
        plan = asking.checked(question, answer, PlanAnswer).to_core(subject.intent["goal"])
        made = [leaving.Made("plan_card", "plan.json", plan.document)]
        outcome = Outcome(
            step_id=COMPILE,
            phase="compilation",
            output=plan.document,
            artifacts=leaving.artifacts(subject.run_id, COMPILE, made),
            calls=[asking.call(subject, COMPILE, question, answer)],
        )
        return await self._keep(subject, outcome)

    async def apply_patches(self, execution_id: str, plan: dict[str, Json]) -> dict[str, Any]:
        """ApplyPatchST: the plan as a person will see it."""
        subject = await self._subject(execution_id)
        outcome = Outcome(
            step_id=APPLY,
            phase="patching",
            output=plan,
            artifacts=leaving.artifacts(subject.run_id, APPLY, []),
        )
        return await self._keep(subject, outcome)

    async def decide(self, execution_id: str, plan: dict[str, Json]) -> dict[str, Any]:
        """DecideST: how the approved plan is built, down to its tasks. Raises RunFailed."""
        subject = await self._subject(execution_id)
        question = asking.question(subject, plans.BUILD, plans.build_prompt(plan), BuildAnswer)
        answer = await self.agents.ask(question)
        build = asking.checked(question, answer, BuildAnswer).to_core()
        tasks = plans.tasks(subject.workflow_id, subject.run_id, build)
        made = [
            leaving.Made("patch", f"{path}.patch", {"path": path, "diff": diff})
            for path, diff in build.patches
        ]
        outcome = Outcome(
            step_id=DECIDE,
            phase="planning",
            output={**build.document, "tasks": _tasks(subject, tasks)},
            artifacts=leaving.artifacts(subject.run_id, DECIDE, made),
            calls=[asking.call(subject, DECIDE, question, answer)],
        )
        return await self._keep(subject, outcome)

    async def execute(
        self, execution_id: str, build: dict[str, Json], ended: Sequence[dict[str, Any]]
    ) -> dict[str, Any]:
        """ExecuteST: what came of all tasks, and its receipt; a success ends the run with it."""
        subject = await self._subject(execution_id)
        output = results.merged(ended)
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
            word=Word.SUCCEEDED if output["errCode"] == NO_ERROR else None,
        )
        return await self._keep(subject, outcome)

    async def fail(self, execution_id: str, error: str) -> None:
        """The run ended with ``error``, unless it had ended already."""
        await self.pool.insist(steps.fail, execution_id, error)

    async def _subject(self, execution_id: str) -> Subject:
        return await self.pool.insist(steps.subject, execution_id)

    async def _keep(self, subject: Subject, outcome: Outcome) -> dict[str, Any]:
        return await self.pool.insist(steps.keep, subject, outcome)


def _tasks(subject: Subject, tasks: Sequence[Task]) -> list[Json]:
    """The tasks as their workflows are enqueued: the parent's partition and priority (B52)."""
    shared: dict[str, Json] = {
        "runId": subject.run_id,
        "queuePartitionKey": subject.queue_partition_key,
        "priority": subject.priority,
    }
    return [{**task.document, **shared} for task in tasks]
