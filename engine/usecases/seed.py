"""Insert the ten recipes of a fresh database (D8)."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import Any, Final

from engine.core.recipes import STABLE, Recipe, spec_hash
from engine.errors import Drift
from engine.store import Tx, recipes

FIRST_AT: Final = datetime(2026, 1, 1, tzinfo=UTC)


def pack() -> list[Recipe]:
    """The recipes that ship with the engine, ``compile-default`` first."""
    specs: list[Any] = json.loads((resources.files("engine.seed") / "pack.json").read_text("utf-8"))
    return [Recipe(one["id"], one["v"], spec_hash(one), STABLE, one) for one in specs]


async def seed(tx: Tx) -> None:
    """Insert every recipe of the pack as stable; existing versions stay as they are.

    Their times are fixed: two fresh databases are equal, and ``compile-default`` is the newest.
    Raises Drift if a version exists with another content, because a stable version does not change.
    """
    shipped = pack()
    for age, recipe in enumerate(shipped):
        await recipes.keep_stable(tx, recipe, FIRST_AT + timedelta(seconds=len(shipped) - age))
        stored = await recipes.find(tx, recipe.id, recipe.v)
        if stored is None or stored.hash != recipe.hash:
            raise Drift(f"stable recipe version is immutable: {recipe.id}@{recipe.v}")
