"""Runs one task in the sandbox and records each attempt once, also if it is repeated."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any, Final

from engine import crash_points
from engine.background import budgets, templates
from engine.core import budgets as rules
from engine.core import results
from engine.core.budgets import Limits
from engine.core.canon import Json
from engine.core.plans import Task
from engine.core.results import Result
from engine.ports.sbx import Sandbox
from engine.store import Tx
from engine.store import budgets as costs
from engine.store import tasks as store
from engine.store.pool import Pool
from engine.store.steps import Left
from engine.store.tasks import Attempt, Standing
from engine.usecases import step_artifacts
from engine.usecases.step_artifacts import Made

STEP: Final = "ExecuteST"
SLACK_S: Final = 0.05  # beyond the limit, so that the database also sees it as exceeded


@dataclass(frozen=True, slots=True)
class Tasks:
    """Tasks, over one pool of connections and one sandbox provider."""

    pool: Pool
    sandbox: Sandbox

    async def attempt(self, run_id: str, task: Task, number: int) -> dict[str, Any]:
        """Run the attempt, or read the result that it had before a crash.

        For a run with a budget, ``budget`` holds what was billed so far and the exceeded limit, if
        any. In that case the attempt was the last, or it was not begun at all.
        """
        standing = await self.pool.insist(store.standing, run_id, task.key, number)
        limits = budgets.parse_limits(standing.budget)
        if limits is not None:
            return await self._within(limits, run_id, task, number, standing)
        if standing.response is not None:
            return standing.response
        await self.pool.insist(templates.select, run_id, task.key, number, standing)
        result = await self.sandbox.run(task, number)
        crash_points.pass_point("worker.executeTask.ran")
        return await self.pool.insist(store.keep, self._make_attempt(run_id, task, result))

    async def _within(
        self, limits: Limits, run_id: str, task: Task, number: int, standing: Standing
    ) -> dict[str, Any]:
        ended = standing.response
        if ended is None:
            spent = await self.pool.insist(costs.load_spent, run_id)
            before = budgets.verdict(limits, spent)
            if before["over"]:
                return {"budget": before}
            await self.pool.insist(templates.select, run_id, task.key, number, standing)
            result = await self._run_within_budget(task, number, rules.time_left_ms(limits, spent))
            crash_points.pass_point("worker.executeTask.ran")
            ended = await self.pool.insist(self._store_attempt, run_id, task, result, limits)
        spent = await self.pool.insist(costs.load_spent, run_id)
        needed = results.retries(ended["errCode"], number)
        return {**ended, "budget": budgets.verdict(limits, spent, needed)}

    async def _run_within_budget(self, task: Task, number: int, left_ms: int) -> Result:
        """The attempt's result; it is stopped when its run has no more time."""
        began_s = time.monotonic()
        timer = asyncio.timeout(left_ms / 1000 + SLACK_S)
        try:
            async with timer:
                return await self.sandbox.run(task, number)
        except TimeoutError:
            if not timer.expired():
                raise
            wall_ms = round(1000 * (time.monotonic() - began_s))
            return results.cut_short(task.key, number, self.sandbox.name, wall_ms)

    async def _store_attempt(
        self, tx: Tx, run_id: str, task: Task, result: Result, limits: Limits
    ) -> dict[str, Any]:
        """Record the attempt, with as much of its output as the budget allows."""
        async with tx.transaction():
            await costs.hold(tx, run_id)
            spent = await costs.load_spent(tx, run_id)
            cut = result.cut(rules.output_left(limits, spent.output_bytes))
            return await store.keep(tx, self._make_attempt(run_id, task, cut))

    def _make_attempt(self, run_id: str, task: Task, result: Result) -> Attempt:
        return Attempt(
            run_id=run_id,
            provider=self.sandbox.name,
            request=task.document,
            result=result,
            artifacts=make_artifacts(run_id, self.sandbox.name, result),
        )


def make_artifacts(run_id: str, provider: str, result: Result) -> list[Left]:
    """The artifacts of an attempt: an index of the others, then the others by name."""
    made = sorted(_outputs(result), key=lambda each: each.name)
    listed = step_artifacts.artifacts(run_id, STEP, made, result.task_key)
    items: list[Json] = [{"kind": i.kind, "uri": i.uri, "sha256": i.sha256} for i in listed]
    index: Json = {"taskKey": result.task_key, "provider": provider, "items": items}
    whole = [Made("artifact_index", "index.json", index), *made]
    return step_artifacts.artifacts(run_id, STEP, whole, result.task_key)


def _outputs(result: Result) -> list[Made]:
    return [
        *(Made("file", f"files/{path}", {"text": text}) for path, text in result.files.items()),
        Made("timings", "metrics.json", {**result.budget_metrics}),
        Made("raw", "raw.json", result.raw),
        Made("stderr", "stderr.log", {"text": result.stderr}),
        Made("stdout", "stdout.log", {"text": result.stdout}),
    ]
