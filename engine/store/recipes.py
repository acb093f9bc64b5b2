"""Rows of ``app.recipes``, ``app.recipe_versions`` and ``app.recipe_fixtures``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from engine.core.recipes import Recipe
from engine.store import Tx, sql

SQL: Final = sql.load("recipes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One stored version of a recipe, with its time."""

    id: str
    v: str
    hash: str
    status: str
    spec: dict[str, Any]
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One version as the registry lists it."""

    id: str
    name: str
    v: str
    status: str
    created_at: datetime


async def find(tx: Tx, recipe_id: str, v: str) -> Recipe | None:
    """Exactly this version, if it exists."""
    async with tx.cursor(row_factory=class_row(Recipe)) as rows:
        return await (await rows.execute(SQL["version"], {"id": recipe_id, "v": v})).fetchone()


async def versions(tx: Tx, recipe_id: str) -> list[Version]:
    """Every version of the recipe, in no order."""
    async with tx.cursor(row_factory=class_row(Version)) as rows:
        return await (await rows.execute(SQL["versions"], {"id": recipe_id})).fetchall()


async def entries(tx: Tx) -> list[Entry]:
    """Every version of every recipe, by recipe id."""
    async with tx.cursor(row_factory=class_row(Entry)) as rows:
        return await (await rows.execute(SQL["every_version"])).fetchall()


async def keep_stable(tx: Tx, recipe: Recipe, at: datetime) -> None:
    """Insert ``recipe`` as stable, with its pointer and fixtures; an existing version stays."""
    values: dict[str, Any] = {"id": recipe.id, "v": recipe.v, "hash": recipe.hash, "at": at}
    values |= {"name": recipe.spec["name"], "queue": recipe.spec["queue"]}
    values["spec"] = Jsonb(recipe.spec)
    await tx.execute(SQL["keep_recipe"], values)
    await tx.execute(SQL["keep_version"], values)
    for fixture in recipe.spec["fixtures"]:
        one = values | {"fixture_id": fixture["id"], "fixture": Jsonb(fixture)}
        await tx.execute(SQL["keep_fixture"], one)


async def keep_draft(tx: Tx, recipe: Recipe) -> None:
    """Insert ``recipe`` as a draft with its fixtures, unless the version exists."""
    values = {"id": recipe.id, "v": recipe.v, "hash": recipe.hash, "spec": Jsonb(recipe.spec)}
    named = {"name": recipe.spec["name"], "queue": recipe.spec["queue"]}
    await tx.execute(SQL["keep_draft"], {**values, **named})
