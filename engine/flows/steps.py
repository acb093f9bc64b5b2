"""A named step of the durable engine: run once, its output kept, replayed after a crash."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

from dbos import DBOS
from dbos._error import DBOSWorkflowCancelledError  # not exported, and what an execution ends with

from engine import crash_points
from engine.errors import RunCanceled

P = ParamSpec("P")
T = TypeVar("T")


async def step(name: str, body: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """What ``body`` returned, now or before the crash.

    A body that meets a cancellation leaves no record: a resumed run does the step anew.
    """

    async def run() -> T:
        crash_points.reached(f"worker.{name}.before")
        try:
            made = await body(*args, **kwargs)
        except RunCanceled as error:
            raise DBOSWorkflowCancelledError(str(error)) from error
        crash_points.reached(f"worker.{name}.after")
        return made

    return await DBOS.run_step_async({"name": name}, run)


def number() -> int:
    """The number of the step under way within its workflow."""
    found = DBOS.step_id
    if found is None:
        raise RuntimeError("not inside of a step")
    return int(found)
