"""Records that the durable engine writes itself, of waits and children: one statement, not four.

``engine.flows.steps`` records the engine's own steps. The statements are the same.
"""

from __future__ import annotations

from typing import Any, Final

from dbos import DBOS
from dbos._context import current_owner_xid  # not exported: the present execution
from dbos._error import (
    DBOSStepNondeterminismError,
    DBOSUnexpectedStepError,
    DBOSWorkflowCancelledError,
    DBOSWorkflowConflictIDError,
)
from dbos._sys_db import OperationResultInternal, RecordedResult, db_retry
from sqlalchemy import RowMapping

from engine.store.checkpoints import SQL, Found, now_ms

PORTABLE: Final = "portable_json"


def find_record(
    found: Found | None, workflow_id: str, number: int, name: str, owner: str | None = None
) -> Found | None:
    """The record of the step ``name``; None if there is none yet.

    Raises for a missing workflow, a canceled one, one that an execution other than ``owner`` has
    taken over, and for another step.
    """
    if found is None:
        raise RuntimeError(f"workflow {workflow_id} is not there")
    if found.status == "CANCELLED":
        raise DBOSWorkflowCancelledError(f"workflow {workflow_id} is canceled")
    if owner is not None and found.owner != owner:
        raise DBOSWorkflowConflictIDError(workflow_id)
    if found.name is None:
        return None
    if found.name != name:
        raise DBOSUnexpectedStepError(workflow_id, number, name, found.name)
    return found


def require_kept(kept_ms: int | None, ended_ms: int, workflow_id: str, number: int) -> None:
    """Check that the record is ours. Raises when another execution owns or wrote it."""
    if kept_ms is None:
        raise DBOSWorkflowConflictIDError(workflow_id)
    if kept_ms != ended_ms:
        raise DBOSStepNondeterminismError(workflow_id, number)


class BriefRecords:
    """Reads a record and writes one, each in one statement, for the durable engine.

    The durable engine's own code handles other cases (a child, another format, a caller that owns
    nothing).
    """

    def __init__(self, durable: DBOS) -> None:
        self._database = durable._sys_db  # noqa: SLF001  # there is no other way to be asked
        self._record_fully = self._database.record_operation_result
        self._find = db_retry(sys_db=self._database)(self._find_once)
        self._keep = db_retry(sys_db=self._database)(self._keep_once)

    def check(
        self, workflow_id: str, function_id: int, function_name: str, **_: Any
    ) -> RecordedResult | None:
        """The record of that step. Raises for a canceled workflow and for another step."""
        found = self._find({"workflow_id": workflow_id, "number": function_id})
        record = find_record(found, workflow_id, function_id, function_name)
        if record is None:
            return None
        return {
            "output": record.output,
            "error": record.error,
            "serialization": record.serialization,
            "child_workflow_id": record.child_workflow_id,
            "child_shard_key": None,
        }

    def record(
        self,
        result: OperationResultInternal,
        *,
        completed_at_epoch_ms: int | None = None,
        **more: Any,
    ) -> None:
        """Record the step. Raises when another execution owns the workflow or wrote the record."""
        owner = current_owner_xid(result["workflow_uuid"])
        is_known = result["child_workflow_id"] is None and result["serialization"] == PORTABLE
        if more or owner is None or not is_known:
            self._record_fully(result, completed_at_epoch_ms=completed_at_epoch_ms, **more)
            return
        self._keep(
            {
                "workflow_id": result["workflow_uuid"],
                "number": result["function_id"],
                "owner": owner,
                "name": result["function_name"],
                "output": result["output"],
                "error": result["error"],
                "began_ms": result["started_at_epoch_ms"],
                "ended_ms": completed_at_epoch_ms or now_ms(),
                "application": self._database.app_name,
            }
        )

    def _find_once(self, values: dict[str, Any]) -> Found | None:
        found = self._ask("find", values)
        return None if found is None else Found(**found)

    def _keep_once(self, values: dict[str, Any]) -> None:
        kept = self._ask("keep", values)
        kept_ms = None if kept is None else kept["completed_at_epoch_ms"]
        require_kept(kept_ms, values["ended_ms"], values["workflow_id"], values["number"])

    def _ask(self, name: str, values: dict[str, Any]) -> RowMapping | None:
        with self._database.engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            return connection.exec_driver_sql(SQL[name], values).mappings().one_or_none()


def record_briefly(durable: DBOS) -> None:
    """Let the running ``durable`` read and write its records by ``BriefRecords``."""
    records = BriefRecords(durable)
    database = durable._sys_db  # noqa: SLF001  # as above
    database.check_operation_execution = records.check  # type: ignore[method-assign]  # its own take four statements
    database.record_operation_result = records.record  # type: ignore[method-assign]  # as above
