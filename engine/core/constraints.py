"""What an intent's constraints switch on: gates of their own, and how long they wait."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from engine.core.canon import Json
from engine.core.gates import APPROVE, PARALLEL, QUESTION, Ask

TTL_NAMES: Final = ("planApprovalTimeoutS", "plan_approval_timeout_s", "timeoutS")
QUESTION_NAMES: Final = ("askUser", "ask_user", "waitForHumanInput")
PARALLEL_NAMES: Final = ("parallelApprovals", "parallel_approvals", "parallelGateTest")


def switches(constraints: Mapping[str, Json]) -> Mapping[str, Json]:
    """Where the switches stand: in ``testHooks`` when there is one, else beside everything."""
    hooks = constraints.get("testHooks")
    return hooks if isinstance(hooks, dict) else constraints


def gate_ttl_s(constraints: Mapping[str, Json], default: int) -> Any:
    """What the constraints give as the seconds that a gate waits, whatever it is."""
    given = switches(constraints)
    return next((given[name] for name in TTL_NAMES if given.get(name) is not None), default)


def questions(constraints: Mapping[str, Json]) -> tuple[Ask, ...]:
    """What is asked before anything is patched."""
    return (QUESTION,) if _on(constraints, QUESTION_NAMES) else ()


def approvals(constraints: Mapping[str, Json]) -> tuple[Ask, ...]:
    """Who has to approve the plan: always somebody."""
    return PARALLEL if _on(constraints, PARALLEL_NAMES) else (APPROVE,)


def _on(constraints: Mapping[str, Json], names: tuple[str, ...]) -> bool:
    given = switches(constraints)
    return any(given.get(name) is True for name in names)
