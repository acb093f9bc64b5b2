"""A sandbox that waits before each command, to give crash tests time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from engine.core.plans import Task
from engine.core.results import Result
from engine.ports.sbx import Sandbox


@dataclass(frozen=True, slots=True)
class Slow:
    """``sandbox``, ``pause_s`` seconds late."""

    sandbox: Sandbox
    pause_s: float

    @property
    def name(self) -> str:
        """The provider that really runs the command."""
        return self.sandbox.name

    @property
    def version(self) -> str:
        """Of what runs it."""
        return self.sandbox.version

    async def run(self, task: Task, attempt: int) -> Result:
        """What the sandbox says, later."""
        await asyncio.sleep(self.pause_s)
        return await self.sandbox.run(task, attempt)
