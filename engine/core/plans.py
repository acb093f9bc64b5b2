"""What is to be done: the plan that a person approves, and the build that carries it out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

from engine.core.canon import Json, canonical
from engine.core.patches import Patch
from engine.errors import RunFailed

PLAN: Final = "plan"
BUILD: Final = "build"
PATCH_PLAN: Final = "patchPlan"
STRUCTURED: Final = "StructuredOutput"  # how an agent hands in its answer
PARENTS: Final = frozenset({"parentid", "parentsessionid", "parentsession"})
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


def allowed_tools(agent: str) -> frozenset[str]:
    """The tools that ``agent`` may use, the one that hands in its answer among them."""
    return TOOLS[agent] | {STRUCTURED}


def denied_tool(agent: str, used: Iterable[str]) -> str | None:
    """The first tool that ``agent`` used and may not use, if there is one (D34)."""
    return next((name for name in used if name not in allowed_tools(agent)), None)


def require_tools(agent: str, used: Iterable[str]) -> None:
    """Raises RunFailed for a tool that ``agent`` used and may not use."""
    if (denied := denied_tool(agent, used)) is not None:
        raise RunFailed(f"tool-denied: {denied} for agent {agent}")


def require_no_parent(inputs: Mapping[str, Json]) -> None:
    """Raises RunFailed for an input that would make an agent's session the child of another."""
    if (found := _parent(inputs)) is not None:
        raise child_session(found)


def child_session(what: str) -> RunFailed:
    """The refusal of a session within a session: it would do what nobody sees."""
    return RunFailed(f"child_session_denied: {what}")


def _parent(value: Json | Mapping[str, Json]) -> str | None:
    """The first key, at any depth, that names a parent session, however it is written."""
    own: Iterable[str | None] = ()
    below: Iterable[Json] = ()
    match value:
        case Mapping():
            own = (name for name in value if _letters(name) in PARENTS)
            below = value.values()
        case list():
            below = value
        case _:
            pass
    return next(chain(own, filter(None, map(_parent, below))), None)


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name)).lower()
