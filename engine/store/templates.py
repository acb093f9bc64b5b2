"""Rows of ``app.sbx_templates``, and which of them each attempt of a task was given."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from engine.store import Tx, sql

SQL: Final = sql.load("templates")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What one attempt was given: the template of that key, or, without id, a cold sandbox."""

    run_id: str
    task_key: str
    attempt: int
    template_key: str
    recipe_id: str
    recipe_v: str
    deps_hash: str
    template_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A sandbox that was made ready for one recipe version and its dependencies."""

    recipe_id: str
    recipe_v: str
    deps_hash: str
    template_key: str
    template_id: str
    environment: dict[str, Any]


async def select(tx: Tx, made: Selection) -> None:
    """Record the selection of the attempt, unless it has one."""
    await tx.execute(SQL["select"], asdict(made))


async def register(tx: Tx, made: Template) -> bool:
    """Register the template; return whether it is new for its dependencies."""
    values = {**asdict(made), "environment": Jsonb(made.environment)}
    return (await tx.execute(SQL["register"], values)).rowcount == 1


async def list_templates(tx: Tx) -> list[Template]:
    """All of them, by key."""
    async with tx.cursor(row_factory=class_row(Template)) as rows:
        return await (await rows.execute(SQL["listed"])).fetchall()
