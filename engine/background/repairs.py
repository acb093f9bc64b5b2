"""What a repair does not do again: complete steps, given approvals, successful tasks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from engine.background import budgets
from engine.background.run_steps import APPLY, COMPILE, DECIDE
from engine.contracts.base import Wire
from engine.contracts.plans import BuildAnswer, PlanAnswer
from engine.core import plans
from engine.core.executions import Execution
from engine.errors import RunFailed, count_faults
from engine.store import Tx, steps
from engine.store.pool import Pool
from engine.store.steps import Subject


@dataclass(frozen=True, slots=True)
class Repairs:
    """Reads the earlier work of runs, over one pool of connections."""

    pool: Pool

    async def load_known_work(self, execution: Execution) -> dict[str, Any]:
        """``compiled``, ``decided`` (None: to be made), ``asked``, ``granted``, ``succeeded``.

        Raises RunFailed for a stored step of another shape, and for a step whose agent used a
        denied tool: a repair must not build on these.
        """
        subject = await self.pool.insist(steps.subject, execution.id)
        return await self.pool.insist(_load_known_work, subject)


async def _load_known_work(tx: Tx, subject: Subject) -> dict[str, Any]:
    made = await steps.newest_outputs(tx, subject.run_id)
    for agent, used in await steps.tools(tx, subject.run_id):
        plans.require_tools(agent, used)
    place = {"partition": subject.queue_partition_key, "priority": subject.priority}
    plan, build = made.get(COMPILE), made.get(DECIDE)
    if plan is not None:
        _require(PlanAnswer, COMPILE, {key: plan[key] for key in plan if key != "goal"})
    if build is not None:
        _require(BuildAnswer, DECIDE, build)
    compiled = {
        "plan": plan,
        "constraints": subject.intent["constraints"],
        "budget": budgets.parse_limits(subject.budget),
    }
    return {
        "compiled": plan and compiled,
        "asked": await steps.is_granted(tx, subject.run_id, COMPILE),
        "granted": await steps.is_granted(tx, subject.run_id, APPLY),
        "decided": build and {"build": build, "place": place},
        "succeeded": await steps.successes(tx, subject.run_id),
    }


def _require(wanted: type[Wire], step_id: str, stored: dict[str, Any]) -> None:
    try:
        wanted.model_validate(stored)
    except ValidationError as error:
        raise RunFailed(
            f"stored {step_id} is malformed: {count_faults(error.error_count())}"
        ) from error
