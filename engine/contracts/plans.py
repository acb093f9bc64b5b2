"""The answers of the two agents: closed and bounded, because a model writes them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from engine.contracts.base import Wire
from engine.core import patches
from engine.core.patches import Patch
from engine.core.plans import Build, Plan

Line = Annotated[str, Field(min_length=1, max_length=20_000)]
Content = Annotated[str, Field(max_length=200_000, pattern=r"^[^\x00]*$")]


class PatchWish(Wire):
    """The wanted content of a file below ``.tmp/``. It is written before anybody approves it."""

    target_path: Annotated[str, Field(min_length=1, max_length=1024)]
    postimage_content: Content
    diff_text: Content

    def to_core(self) -> Patch:
        """The patch. Raises RunFailed for a path that a database cannot store."""
        if "\0" in self.target_path:
            raise patches.not_allowed(self.target_path)
        return Patch(
            target_path=self.target_path, postimage=self.postimage_content, diff=self.diff_text
        )


class PlanAnswer(Wire):
    """Answer of agent ``plan``. The goal comes from the intent, so the answer has none."""

    design: Annotated[list[Line], Field(max_length=25)]
    files: Annotated[list[Line], Field(max_length=30)]
    risks: Annotated[list[Line], Field(max_length=15)]
    tests: Annotated[list[Line], Field(max_length=100)]
    patch_plan: list[PatchWish] = Field(default_factory=list, max_length=20)

    def to_core(self, goal: str) -> Plan:
        """Convert it for the core. There is no other way from the wire into the core."""
        return Plan(
            goal=goal,
            design=tuple(self.design),
            files=tuple(self.files),
            risks=tuple(self.risks),
            tests=tuple(self.tests),
            patches=tuple(wish.to_core() for wish in self.patch_plan),
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
        """Convert it for the core. There is no other way from the wire into the core."""
        return Build(
            patches=tuple((patch.path, patch.diff) for patch in self.patch),
            tests=tuple(self.tests),
            test_command=self.test_command,
        )
