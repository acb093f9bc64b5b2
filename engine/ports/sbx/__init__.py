"""The sandbox: one command, run away from the engine, and how it ended."""

from __future__ import annotations

from typing import Protocol

from engine.core.plans import Task
from engine.core.results import Result


class Sandbox(Protocol):
    """Whoever runs commands. No provider ever stands in for another (D35)."""

    @property
    def name(self) -> str:
        """The provider, as the rows say it."""
        ...

    @property
    def version(self) -> str:
        """Of what it runs commands with."""
        ...

    async def run(self, task: Task, attempt: int) -> Result:
        """How this attempt of the command ended; a failure is a result, not an exception."""
        ...
