"""A private stack whose worker can be replaced, with a workspace for the files of its plans."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pytest_spec11.canon import digest
from pytest_spec11.stacks import Control, Stack, Stacks
from pytest_spec11.target import Process
from scenarios.support.faults.holds import PATIENT
from scenarios.support.runs.gates import start_run

PLACES = {"SPEC11_WORKSPACE": "{stack.dir}/workspace", "OC_FIXTURES_DIR": "{stack.dir}/oc"}


class Workshop:
    """One stack, and the directories that its worker was given."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self._env = stack.fill_process("worker").env
        for directory in (self.jail, self._answers):
            directory.mkdir(parents=True, exist_ok=True)

    @property
    def jail(self) -> Path:
        """The one directory in which plans may change files."""
        return Path(self._env["SPEC11_WORKSPACE"]) / ".tmp"

    @property
    def _answers(self) -> Path:
        return Path(self._env["OC_FIXTURES_DIR"])

    @property
    def worker(self) -> Process:
        """Its worker, as it would be started."""
        return self.stack.fill_process("worker")

    def patching(self, goal: str, path: Path, text: str) -> str:
        """The workflow id of a run just started whose plan wants ``path`` to hold ``text``."""
        wish = {"targetPath": str(path), "postimageContent": text, "diffText": f"+{text}"}
        plan = {"design": [], "files": [], "risks": [], "tests": [], "patchPlan": [wish]}
        number = len([*self._answers.iterdir()])
        self._record(f"{number}", {"agent": "plan", "inputs": {"topic": goal}}, plan)
        return start_run(self.stack.api, goal, topic=goal)

    def answers(self, agent: str, recipe_id: str, **structured: Any) -> None:
        """From now on ``agent`` says just that to every question about v1 of the recipe."""
        match = {"agent": agent, "recipe": {"id": recipe_id, "v": "v1"}}
        self._record(f"{agent}-{digest(recipe_id)[:16]}", match, structured)

    def _record(self, name: str, match: dict[str, Any], structured: dict[str, Any]) -> None:
        answer = {"structured": structured, "tools": []}
        recorded = {"schemaVersion": 1, "match": match, "answer": answer}
        staged = self._answers / f"{name}.staged"  # whole before it has the name of an answer
        staged.write_text(json.dumps(recorded), encoding="utf-8")
        staged.rename(staged.with_suffix(".json"))

    @contextmanager
    def standing_in(self, worker: Process) -> Iterator[Control]:
        """While the block runs, ``worker`` works here alone; after it the stack's own one does."""
        with standing_in(self.stack, worker) as other:
            yield other


@contextmanager
def standing_in(stack: Stack, worker: Process) -> Iterator[Control]:
    """While the block runs, ``worker`` works on the stack alone; after it the stack's own one."""
    own = stack.process("worker")
    own.stop()
    other = stack.spawn(worker)
    try:
        yield other
    finally:
        other.stop()
        own.start()


@contextmanager
def workshop(stacks: Stacks) -> Iterator[Workshop]:
    """A workshop with its own worker at work."""
    with stacks.start(only=("api",), env=PLACES | PATIENT) as stack:
        made = Workshop(stack)
        stack.process("worker").start()
        yield made
