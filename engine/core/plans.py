"""What is to be done: the plan that a person approves, and the build that carries it out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from engine.core.canon import Json, canonical
from engine.core.patches import Patch

PLAN: Final = "plan"
BUILD: Final = "build"
PATCH_PLAN: Final = "patchPlan"
_READING: Final = frozenset({"read", "grep", "glob", "ls", "skill"})
TOOLS: Final[Mapping[str, frozenset[str]]] = {
    PLAN: _READING,
    BUILD: _READING | {"edit", "write", "bash", "patch"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the plan agent proposes for an intent."""

    goal: str
    design: tuple[str, ...]
    files: tuple[str, ...]
    risks: tuple[str, ...]
    tests: tuple[str, ...]
    patches: tuple[Patch, ...] = ()

    @property
    def document(self) -> dict[str, Json]:
        """The plan as it is stored and shown, with every byte that it wants written."""
        plan: dict[str, Json] = {
            "goal": self.goal,
            "design": [*self.design],
            "files": [*self.files],
            "risks": [*self.risks],
            "tests": [*self.tests],
        }
        if self.patches:
            plan[PATCH_PLAN] = [patch.document for patch in self.patches]
        return plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """How an approved plan is carried out: proposed changes, and what to run."""

    patches: tuple[tuple[str, str], ...]  # path and diff
    tests: tuple[str, ...]
    test_command: str

    @property
    def document(self) -> dict[str, Json]:
        """The build as it is stored and shown."""
        return {
            "patch": [{"path": path, "diff": diff} for path, diff in self.patches],
            "tests": [*self.tests],
            "test_command": self.test_command,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One command for the sandbox. ``key`` is also the id of the workflow that runs it."""

    key: str
    cmd: str

    @property
    def document(self) -> dict[str, Json]:
        """The task as it is stored and handed to the workflow that runs it."""
        return {"key": self.key, "cmd": self.cmd}


def patches(plan: Mapping[str, Any]) -> list[Patch]:
    """The patches that a stored plan wants written, in its order."""
    return [Patch.of(document) for document in plan.get(PATCH_PLAN, [])]


def without_patches(plan: Mapping[str, Json]) -> dict[str, Json]:
    """The plan once its patches are written: what is left of it to be built."""
    return {name: value for name, value in plan.items() if name != PATCH_PLAN}


def plan_prompt(intent: Mapping[str, Json]) -> str:
    """What the plan agent is asked."""
    return _prompt("Plan how to reach this goal. Answer in JSON of the given schema only.", intent)


def build_prompt(plan: Mapping[str, Json]) -> str:
    """What the build agent is asked."""
    return _prompt("Build this approved plan. Answer in JSON of the given schema only.", plan)


def _prompt(wish: str, subject: Mapping[str, Json]) -> str:
    return f"{wish}\n{canonical(dict(subject)).decode()}"


def denied_tool(agent: str, used: Iterable[str]) -> str | None:
    """The first tool that ``agent`` used and may not use, if there is one (D34)."""
    return next((name for name in used if name not in TOOLS[agent]), None)
