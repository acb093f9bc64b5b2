"""The crash demo's log of marks, and its start."""

from __future__ import annotations

from typing import Final

from psycopg.rows import scalar_row

from engine.core.workflows import DEMO
from engine.errors import IllegalState
from engine.store import Tx, sql

SQL: Final = sql.load("demos")


async def mark(tx: Tx, workflow_id: str, mark: str, function_id: int) -> None:
    """Write one line of the log per step, however often the step is tried."""
    values = {"workflow_id": workflow_id, "mark": mark, "function_id": function_id}
    await tx.execute(SQL["mark"], values)


async def marks(tx: Tx, workflow_id: str) -> dict[str, int]:
    """How often each mark is in the log."""
    rows = await tx.execute(SQL["marks"], {"workflow_id": workflow_id})
    return dict(await rows.fetchall())


async def start(tx: Tx, workflow_id: str, sleep_s: float, app_version: str) -> str:
    """Start the demo unless it exists; return its id. Raises IllegalState for a foreign id."""
    values = {
        "name": DEMO,
        "workflow_id": workflow_id,
        "sleep_s": sleep_s,
        "app_version": app_version,
    }
    async with tx.cursor(row_factory=scalar_row) as rows:
        name = await (await rows.execute(SQL["name_of"], values)).fetchone()
        if name not in {None, DEMO}:
            raise IllegalState(f"workflow {workflow_id} is a {name}", code="illegal_state")
        return str(await (await rows.execute(SQL["start"], values)).fetchone())
