"""The costs of runs, and the rows of budget violations."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

from psycopg.rows import class_row, scalar_row
from psycopg.types.json import Jsonb

from engine.core.budgets import Spent
from engine.store import Tx, sql
from engine.store.steps import Left

SQL: Final = sql.load("budgets")


async def load_spent(tx: Tx, run_id: str) -> Spent:
    """The costs so far of the execution that owns the run."""
    async with tx.cursor(row_factory=class_row(Spent)) as rows:
        found = await (await rows.execute(SQL["spent"], {"run_id": run_id})).fetchone()
    if found is None:
        raise RuntimeError("an aggregate has one row")
    return found


async def limits(tx: Tx, run_id: str) -> Any:
    """The run's stored budget; None if it has none."""
    async with tx.cursor(row_factory=scalar_row) as rows:
        return await (await rows.execute(SQL["limits"], {"run_id": run_id})).fetchone()


async def hold(tx: Tx, run_id: str) -> None:
    """Lock the run's attempts until the transaction ends: nobody else may record one."""
    await tx.execute(SQL["hold"], {"run_id": run_id})


async def block(tx: Tx, execution_id: str, metric: str, violation: Left) -> None:
    """Record the violation and let no further task begin, unless the run has ended."""
    values = {**asdict(violation), "inline": Jsonb(violation.inline), "task_key": metric}
    written = await tx.execute(SQL["block"], {**values, "execution_id": execution_id})
    if written.rowcount:
        await tx.execute(SQL["stop_tasks"], {"execution_id": execution_id})
