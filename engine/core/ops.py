"""The legality of operations on a workflow, and the step where a fork can begin."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from engine.core import workflows
from engine.errors import IllegalState

CANCELABLE: Final = frozenset({"ENQUEUED", "DELAYED", "PENDING"})
RESUMABLE: Final = frozenset({"CANCELLED"})
REPAIRABLE: Final = frozenset({"failed", "retries_exceeded"})
STEPS: Final = ("CompileST", "ApplyPatchST", "DecideST", "ExecuteST")
# Steps where a run can begin again, outside of a wait and of a fan-out.
_WAIT: Final = frozenset({"DBOS.recv", "DBOS.sleep", "CloseGate"})
_TASKS: Final = frozenset({workflows.TASK, "DBOS.getResult"})


@dataclass(frozen=True, slots=True)
class Done:
    """One operation that the durable engine recorded."""

    function_id: int
    name: str


def require_cancelable(status: str) -> None:
    """Raises IllegalState for a workflow that has ended."""
    if status not in CANCELABLE:
        raise _illegal("cancel", status)


def require_resumable(status: str) -> None:
    """Raises IllegalState for a workflow that was not canceled."""
    if status not in RESUMABLE:
        raise _illegal("resume", status)


def _illegal(action: str, status: str) -> IllegalState:
    return IllegalState(f"cannot {action} workflow in status {status}", code="illegal_state")


def fork_start(done: Sequence[Done], step_n: int, *, patches_stand: bool) -> int:
    """The first operation that a fork from ``step_n`` repeats, counted from 1.

    A fork never begins inside a wait (it opens a gate of its own) or inside a fan-out, and it
    writes missing patches again. Raises IllegalState for a step beyond the last one.
    """
    last = max((each.function_id for each in done), default=0)
    if step_n > last:
        message = f"fork stepN {step_n} exceeds max step {last}"
        raise IllegalState(message, code="illegal_state")
    names = {each.function_id: each.name for each in done}
    start = _before(names, step_n, _WAIT) if names.get(step_n) in _WAIT else step_n
    start = _before(names, start, _TASKS) + 1 if names.get(start) in _TASKS else start
    applied = next((each.function_id for each in done if each.name == "ApplyPatchST"), None)
    return start if patches_stand or applied is None else min(start, applied)


def _before(names: dict[int, str], at: int, kinds: frozenset[str]) -> int:
    """The nearest operation before ``at`` that is not one of ``kinds``; 0 if there is none."""
    while at > 0 and names.get(at, next(iter(kinds))) in kinds:
        at -= 1
    return at


def kept_steps(done: Iterable[Done], start: int) -> list[str]:
    """The domain's steps that a fork from ``start`` does not repeat."""
    return [each.name for each in done if each.function_id < start and each.name in STEPS]


def first_undone(done: Iterable[str]) -> str:
    """The step at which a repair goes on; the last step if all are recorded."""
    known = set(done)
    return next((step for step in STEPS if step not in known), STEPS[-1])
