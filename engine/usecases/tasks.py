"""Run one task in the sandbox: each attempt is recorded once, whoever repeats it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from engine import points
from engine.core.canon import Json
from engine.core.plans import Task
from engine.core.results import Result
from engine.ports.sbx import Sandbox
from engine.store import tasks as store
from engine.store.pool import Pool
from engine.store.steps import Left
from engine.store.tasks import Attempt
from engine.usecases import leaving
from engine.usecases.leaving import Made

STEP: Final = "ExecuteST"


@dataclass(frozen=True, slots=True)
class Tasks:
    """Tasks, over one pool of connections and one sandbox provider."""

    pool: Pool
    sandbox: Sandbox

    async def attempt(self, run_id: str, task: Task, number: int) -> dict[str, Any]:
        """How the task's attempt ended, now or before a crash."""
        recorded = await self.pool.insist(store.attempt, run_id, task.key, number)
        return recorded or await self._run(run_id, task, number)

    async def _run(self, run_id: str, task: Task, number: int) -> dict[str, Any]:
        result = await self.sandbox.run(task, number)
        points.reached("worker.executeTask.ran")
        attempt = Attempt(
            run_id=run_id,
            provider=self.sandbox.name,
            request=task.document,
            result=result,
            artifacts=left(run_id, self.sandbox.name, result),
        )
        return await self.pool.insist(store.keep, attempt)


def left(run_id: str, provider: str, result: Result) -> list[Left]:
    """The artifacts of an attempt: an index of all the others, then they in the order of names."""
    made = sorted(_made(result), key=lambda each: each.name)
    listed = leaving.artifacts(run_id, STEP, made, result.task_key)
    items: list[Json] = [{"kind": i.kind, "uri": i.uri, "sha256": i.sha256} for i in listed]
    index: Json = {"taskKey": result.task_key, "provider": provider, "items": items}
    whole = [Made("artifact_index", "index.json", index), *made]
    return leaving.artifacts(run_id, STEP, whole, result.task_key)


def _made(result: Result) -> list[Made]:
    return [
        *(Made("file", f"files/{path}", {"text": text}) for path, text in result.files.items()),
        Made("timings", "metrics.json", {**result.metrics}),
        Made("raw", "raw.json", result.document),
        Made("stderr", "stderr.log", {"text": result.stderr}),
        Made("stdout", "stdout.log", {"text": result.stdout}),
    ]
