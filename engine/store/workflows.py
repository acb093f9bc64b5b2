"""Rows of the durable engine, read only: schema ``dbos`` alone, never joined with ``app``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from psycopg.rows import class_row, scalar_row

from engine.core.workflows import Workflow
from engine.store import Tx, sql

SQL: Final = sql.load("workflows")


async def find(tx: Tx, execution_id: str) -> Workflow | None:
    """The execution's row, if there is one."""
    async with tx.cursor(row_factory=class_row(Workflow)) as rows:
        return await (await rows.execute(SQL["by_id"], {"execution_id": execution_id})).fetchone()


async def find_ended(tx: Tx, workflow_ids: Sequence[str]) -> list[str]:
    """Which of the workflows are over, however they went."""
    async with tx.cursor(row_factory=scalar_row) as rows:
        values = {"workflow_ids": [*workflow_ids]}
        return await (await rows.execute(SQL["ended"], values)).fetchall()


async def find_undelivered(tx: Tx, workflow_ids: Sequence[str]) -> list[str]:
    """Under which keys there are messages that none of the workflows has taken yet."""
    async with tx.cursor(row_factory=scalar_row) as rows:
        values = {"workflow_ids": [*workflow_ids]}
        return await (await rows.execute(SQL["undelivered"], values)).fetchall()
