"""The operations on workflows, as the API of a running engine serves them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote, urlencode

from engine.core.canon import Json
from engine.errors import Missing, Unanswered, Unreachable
from engine.ports.remote import Answer, Remote

ROOT: Final = "/api/ops/wf"


@dataclass(frozen=True, slots=True)
class Workflows:
    """Workflows behind one API."""

    api: Remote

    def list_workflows(self, **filters: str | int | None) -> Answer:
        """The newest of those that the filters let through; None is no filter."""
        query = urlencode({name: each for name, each in filters.items() if each is not None})
        return self.api.ask("GET", f"{ROOT}?{query}")

    def steps(self, workflow_id: str) -> Answer:
        """What is recorded of a workflow. Raises Unreachable: nothing was asked to be done."""
        try:
            return self.api.ask("GET", f"{_path(workflow_id)}/steps")
        except Unanswered as error:
            raise Unreachable(str(error)) from error


@dataclass(frozen=True, slots=True)
class Action:
    """One operation for any number of workflows: cancel, resume or fork, by whom and why.

    ``step`` is where a fork begins: a functionId, or a name that each workflow has numbered itself.
    """

    workflows: Workflows
    verb: str
    said: Mapping[str, Json]
    step: int | str | None = None

    def __call__(self, workflow_id: str) -> Answer:
        """What the API says to it. Raises Missing for a step that is not recorded, Unreachable."""
        step = self.step
        if isinstance(step, str):
            seen = self.workflows.steps(workflow_id)
            if seen.status != HTTPStatus.OK:
                return seen
            step = _number(seen.body, step)
        more = {} if step is None else {"stepN": step}
        path = f"{_path(workflow_id)}/{self.verb}"
        return self.workflows.api.ask("POST", path, {**self.said, **more})


def _path(workflow_id: str) -> str:
    return f"{ROOT}/{quote(workflow_id, safe='')}"


def _number(steps: Any, name: str) -> int:
    """The first functionId under which ``name`` is recorded. Raises Missing."""
    found = [each["functionId"] for each in steps if each["stepId"] == name]
    if not found:
        raise Missing(f"no step {name} is recorded")
    return int(min(found))
