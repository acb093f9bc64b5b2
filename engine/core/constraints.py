"""The switches in an intent's constraints: additional gates, and the TTL of gates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from engine.core.canon import Json
from engine.core.gates import APPROVE, PARALLEL, QUESTION, Ask

TTL_NAMES: Final = ("planApprovalTimeoutS", "plan_approval_timeout_s", "timeoutS")
QUESTION_NAMES: Final = ("askUser", "ask_user", "waitForHumanInput")
PARALLEL_NAMES: Final = ("parallelApprovals", "parallel_approvals", "parallelGateTest")


def switches(constraints: Mapping[str, Json]) -> Mapping[str, Json]:
    """The switches: the object ``testHooks`` if it exists, otherwise the constraints themselves."""
    hooks = constraints.get("testHooks")
    return hooks if isinstance(hooks, dict) else constraints


def gate_ttl_s(constraints: Mapping[str, Json], default: int) -> Any:
    """The TTL of a gate in seconds as the constraints give it, not validated."""
    given = switches(constraints)
    return next((given[name] for name in TTL_NAMES if given.get(name) is not None), default)


def questions(constraints: Mapping[str, Json]) -> tuple[Ask, ...]:
    """The questions that a run asks before it patches anything."""
    return (QUESTION,) if _on(constraints, QUESTION_NAMES) else ()


def approvals(constraints: Mapping[str, Json]) -> tuple[Ask, ...]:
    """The approvals of the plan: always at least one."""
    return PARALLEL if _on(constraints, PARALLEL_NAMES) else (APPROVE,)


def _on(constraints: Mapping[str, Json], names: tuple[str, ...]) -> bool:
    given = switches(constraints)
    return any(given.get(name) is True for name in names)
