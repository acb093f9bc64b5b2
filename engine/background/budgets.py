"""Keeps runs within their budgets. Costs come from rows, never from a process's clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from engine.contracts.budgets import Budget, BudgetViolation
from engine.core import budgets as rules
from engine.core.budgets import Excess, Limits, Metric, Spent
from engine.core.executions import Execution
from engine.errors import RunFailed, count_faults
from engine.store import Tx
from engine.store import budgets as store
from engine.store.pool import Pool
from engine.usecases import step_artifacts
from engine.usecases.step_artifacts import Made

ALONE: Final = 0  # the index of the one artifact of a violation


@dataclass(frozen=True, slots=True)
class Budgets:
    """Budgets, over one pool of connections."""

    pool: Pool

    async def look(self, execution: Execution) -> dict[str, Any] | None:
        """The first limit that the run exceeds now, as a document. Raises RunFailed."""
        over = await self.pool.insist(_find_excess, execution.run_id)
        return None if over is None else over.document


async def _find_excess(tx: Tx, run_id: str) -> Excess | None:
    limits = parse_limits(await store.limits(tx, run_id))
    return rules.find_excess(limits, (await store.load_spent(tx, run_id)).measurements)


def parse_limits(stored: Any) -> Limits | None:
    """The limits in a run's row; None if it has none.

    Raises RunFailed for a row of another shape, because nobody can keep an unreadable budget.
    """
    if stored is None:
        return None
    try:
        found: Limits = Budget.model_validate(stored).model_dump()
    except ValidationError as error:
        raise RunFailed(
            f"stored budget is malformed: {count_faults(error.error_count())}"
        ) from error
    return found


def verdict(limits: Limits, spent: Spent, retries: int = 0) -> dict[str, Any]:
    """``minutes``: billed so far. ``over``: the first exceeded limit as a document, or None."""
    observed = {Metric.RETRIES: retries, **spent.measurements}
    over = rules.find_excess(limits, observed)
    return {"minutes": spent.minutes, "over": None if over is None else over.document}


async def block(tx: Tx, execution: Execution, over: Mapping[str, Any]) -> None:
    """Record the violation once, in the form that every reader knows; the caller ends the run."""
    told = BudgetViolation.model_validate(over)
    made = Made("json_diagnostic", f"{told.metric}.json", told.model_dump())
    left = step_artifacts.one(execution.run_id, rules.STEP, made, told.metric, ALONE)
    await store.block(tx, execution.id, told.metric, left)
