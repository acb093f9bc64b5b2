"""Executions: the durable workflow that works on a run, and the ids that follow from it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from engine.core import identity
from engine.core.canon import Json
from engine.core.gates import Ask
from engine.core.plans import Build, Task

ENV_REF: Final = "local-node-24"  # the environment of tasks without a template


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """Workflow number ``attempt`` of a run. The first has the run's own workflow id."""

    id: str
    workflow_id: str
    attempt: int = 1

    @property
    def run_id(self) -> str:
        """The id of the run."""
        return identity.run_id(self.workflow_id)

    def gate_keys(self, asks: Iterable[Ask]) -> list[str]:
        """The keys of the gates of this execution."""
        return [
            identity.gate_key(self.run_id, ask.step_id, ask.purpose, self.attempt) for ask in asks
        ]

    def tasks(self, build: Build) -> list[Task]:
        """One task for each different test of the build; without tests, the plain test command."""
        names: list[str | None] = [*dict.fromkeys(build.tests)]
        return [self._task(build.test_command, name) for name in names or [None]]

    def _task(self, command: str, test: str | None) -> Task:
        request: dict[str, Json] = {
            "cmd": command,
            "templateKey": f"env:{ENV_REF}",
            "templateRef": ENV_REF,
        }
        if test is not None:
            request["test"] = test
        if self.attempt > 1:
            request["attempt"] = self.attempt
        key = identity.task_key(self.workflow_id, self.run_id, request)
        return Task(key=key, cmd=command if test is None else f"{command} {test}")
