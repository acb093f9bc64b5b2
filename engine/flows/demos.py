"""CrashDemo: a mark, a durable sleep, a mark. Tick: a mark on a schedule."""

from __future__ import annotations

from dataclasses import dataclass

from dbos import DBOS

from engine.background.demos import Marks
from engine.flows.steps import Steps


@dataclass(frozen=True, slots=True)
class Demos:
    """Workflows that only write marks, each to a log of its own id."""

    step: Steps
    marks: Marks

    async def crash(self, sleep_s: float) -> None:
        """``s1``, then ``sleep_s`` seconds that survive a crash, then ``s2``."""
        await self.step.run_numbered("s1", self.marks.leave, DBOS.workflow_id or "", "s1")
        await DBOS.sleep_async(sleep_s)
        await self.step.run_numbered("s2", self.marks.leave, DBOS.workflow_id or "", "s2")

    async def tick(self, at: str) -> None:
        """One mark for one interval of the schedule: its time."""
        await self.step.run_numbered("tick", self.marks.leave, DBOS.workflow_id or "", f"tick {at}")
