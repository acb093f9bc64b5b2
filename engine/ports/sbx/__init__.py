"""The sandbox: runs one command outside of the engine and returns its result."""

from __future__ import annotations

from typing import Protocol

from engine.core.plans import Task
from engine.core.results import Result


class Sandbox(Protocol):
    """Runs commands. One provider never replaces another (D35)."""

    @property
    def name(self) -> str:
        """The provider, as the rows say it."""
        ...

    @property
    def version(self) -> str:
        """Of what it runs commands with."""
        ...

    async def run(self, task: Task, attempt: int) -> Result:
        """Run this attempt of the command; a failure is a result, not an exception."""
        ...
