"""What the two agents may answer: closed and bounded, because a model wrote it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from engine.contracts.base import Wire
from engine.core.plans import Build, Plan

Line = Annotated[str, Field(min_length=1, max_length=20_000)]


class PlanAnswer(Wire):
    """Answer of agent ``plan``. The goal is the intent's own and is not asked for."""

    design: Annotated[list[Line], Field(max_length=25)]
    files: Annotated[list[Line], Field(max_length=30)]
    risks: Annotated[list[Line], Field(max_length=15)]
    tests: Annotated[list[Line], Field(max_length=100)]

    def to_core(self, goal: str) -> Plan:
        """The only way from the wire into the core."""
        return Plan(
            goal=goal,
            design=tuple(self.design),
            files=tuple(self.files),
            risks=tuple(self.risks),
            tests=tuple(self.tests),
        )


class PatchAnswer(Wire):
    """A change that the build proposes: recorded, never applied."""

    path: Annotated[str, Field(min_length=1, max_length=1024)]
    diff: Annotated[str, Field(max_length=20_000)]


class BuildAnswer(Wire):
    """Answer of agent ``build``."""

    patch: Annotated[list[PatchAnswer], Field(max_length=30)]
    tests: Annotated[list[Line], Field(max_length=100)]
    test_command: Line = Field(alias="test_command")

    def to_core(self) -> Build:
        """The only way from the wire into the core."""
        return Build(
            patches=tuple((patch.path, patch.diff) for patch in self.patch),
            tests=tuple(self.tests),
            test_command=self.test_command,
        )
