from __future__ import annotations

import pytest

from engine.core import ops
from engine.core.ops import Done
from engine.errors import IllegalState

STATUSES = (
    "ENQUEUED", "DELAYED", "PENDING", "SUCCESS", "ERROR", "CANCELLED",
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED",
)  # fmt: skip
RECORDED = (
    "CompileST", "ApplyPatchST", "OpenGate", "DBOS.recv", "CloseGate",
    "DecideST", "RunTask", "RunTask", "DBOS.getResult", "DBOS.getResult", "ExecuteST",
)  # fmt: skip
DONE = [Done(number, name) for number, name in enumerate(RECORDED, 1)]


@pytest.mark.parametrize("status", STATUSES)
def test_what_has_not_ended_may_be_canceled_and_only_that(status: str) -> None:
    if status in {"ENQUEUED", "DELAYED", "PENDING"}:
        ops.require_cancelable(status)
    else:
        with pytest.raises(IllegalState, match=f"^cannot cancel workflow in status {status}$"):
            ops.require_cancelable(status)


@pytest.mark.parametrize("status", STATUSES)
def test_what_was_canceled_may_be_resumed_and_only_that(status: str) -> None:
    if status == "CANCELLED":
        ops.require_resumable(status)
    else:
        with pytest.raises(IllegalState, match=f"^cannot resume workflow in status {status}$"):
            ops.require_resumable(status)


@pytest.mark.parametrize(
    ("step_n", "start"),
    [
        (1, 1), (2, 2), (3, 3),
        (4, 3), (5, 3),  # inside of a wait: the gate opens anew
        (6, 6),
        (7, 7), (8, 7), (9, 7), (10, 7),  # inside of a fan-out: it begins anew
        (11, 11),
    ],
)  # fmt: skip
def test_a_fork_begins_where_a_run_can_begin(step_n: int, start: int) -> None:
    assert ops.fork_start(DONE, step_n, patches_stand=True) == start


@pytest.mark.parametrize(("step_n", "start"), [(1, 1), (2, 2), (6, 2), (11, 2)])
def test_a_fork_patches_anew_what_was_taken_back(step_n: int, start: int) -> None:
    assert ops.fork_start(DONE, step_n, patches_stand=False) == start


@pytest.mark.parametrize(("done", "last"), [(DONE, 11), ([], 0)])
def test_a_fork_beyond_the_last_step_is_refused(done: list[Done], last: int) -> None:
    with pytest.raises(IllegalState, match=f"^fork stepN {last + 1} exceeds max step {last}$"):
        ops.fork_start(done, last + 1, patches_stand=True)


def test_a_fork_keeps_the_domain_s_steps_before_its_start() -> None:
    assert ops.kept_steps(DONE, 7) == ["CompileST", "ApplyPatchST", "DecideST"]
    assert ops.kept_steps(DONE, 1) == []


@pytest.mark.parametrize(
    ("done", "step"),
    [
        ((), "CompileST"),
        (("CompileST",), "ApplyPatchST"),
        (("ApplyPatchST", "CompileST"), "DecideST"),
        (ops.STEPS, "ExecuteST"),
    ],
)
def test_a_repair_goes_on_at_the_first_step_that_is_not_recorded(
    done: tuple[str, ...], step: str
) -> None:
    assert ops.first_undone(done) == step
