"""Named steps of the durable engine: each runs once, is recorded, and is replayed after a crash."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from dbos import DBOS, DBOSPortableJSONSerializer

# Not exported: the place of a workflow, and the end of its execution. Before you raise the
# version, compare ``invoke_step`` and ``record_operation_result`` of the new one with this file.
from dbos._context import DBOSContext, EnterDBOSStepCtx, get_local_dbos_context
from dbos._error import DBOSWorkflowCancelledError
from dbos._serialization import deserialize_exception, serialize_exception

from engine import crash_points
from engine.errors import RunCanceled
from engine.flows.checkpoints import find_record, require_kept
from engine.store import checkpoints
from engine.store.checkpoints import Place, Record
from engine.store.pool import Pool

APPLICATION: Final = "spec11"
JSON: Final = DBOSPortableJSONSerializer()
P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Steps:
    """Runs the steps of workflows and writes their records, over one pool of connections."""

    pool: Pool

    async def __call__(
        self, name: str, body: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """The result or error of ``body``, from now or from before a crash.

        A body that meets a cancellation leaves no record: a resumed run repeats the step.
        """
        context = _next_step()
        place = _place(context)
        with EnterDBOSStepCtx({"name": name, "operationType": "step"}, context):
            if (known := await self._find(place, name)) is not None:
                replayed: T = _replay(*known)
                return replayed
            began_ms = checkpoints.now_ms()
            try:
                made = await _run(name, body, *args, **kwargs)
            except Exception as error:
                text, _ = serialize_exception(error, None, JSON)
                await self._keep(place, name, began_ms, error=text)
                raise
            await self._keep(place, name, began_ms, output=JSON.serialize(made))
            return made

    async def run_numbered(
        self,
        name: str,
        body: Callable[Concatenate[int, P], Awaitable[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """The same for a body that first takes the number of its step within the workflow."""

        def run_body(*args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
            return body(_number(), *args, **kwargs)

        return await self(name, run_body, *args, **kwargs)

    async def _find(self, place: Place, name: str) -> tuple[str | None, str | None] | None:
        """The recorded output and error.

        Raises for a canceled workflow, for one that another execution has taken over (before this
        one does anything more), and for another step.
        """
        found = await self.pool.insist(checkpoints.find, place)
        record = find_record(found, place.workflow_id, place.number, name, place.owner)
        return None if record is None else (record.output, record.error)

    async def _keep(
        self,
        place: Place,
        name: str,
        began_ms: int,
        *,
        output: str | None = None,
        error: str | None = None,
    ) -> None:
        """Record the step. Raises when another execution owns the workflow or wrote the record."""
        record = Record(
            name=name,
            output=output,
            error=error,
            began_ms=began_ms,
            ended_ms=checkpoints.now_ms(),
            application=APPLICATION,
        )
        kept_ms = await self.pool.insist(checkpoints.keep, place, record)
        require_kept(kept_ms, record.ended_ms, place.workflow_id, place.number)


async def _run(name: str, body: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    crash_points.pass_point(f"worker.{name}.before")
    try:
        made = await body(*args, **kwargs)
    except RunCanceled as error:
        raise DBOSWorkflowCancelledError(str(error)) from error
    crash_points.pass_point(f"worker.{name}.after")
    return made


def _next_step() -> DBOSContext:
    """The next step of the current workflow; it takes its number before any wait."""
    context = get_local_dbos_context()
    if context is None or not context.is_workflow():
        raise RuntimeError("not inside of a workflow")
    return context.snapshot_step_ctx(reserve_sleep_id=False)


def _place(context: DBOSContext) -> Place:
    if context.owner_xid is None:
        raise RuntimeError(f"nobody owns workflow {context.workflow_id}")
    return Place(
        workflow_id=context.workflow_id, number=context.function_id, owner=context.owner_xid
    )


def _replay(output: str | None, error: str | None) -> Any:
    if error is not None:
        raise deserialize_exception(error, None, JSON)
    return None if output is None else JSON.deserialize(output)


def _number() -> int:
    """The number of the current step within its workflow."""
    found = DBOS.step_id
    if found is None:
        raise RuntimeError("not inside of a step")
    return int(found)
