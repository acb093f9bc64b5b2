"""The registry of recipes: what there is, and the version that a start pins."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Final

from engine.core.recipes import STABLE, Recipe, natural
from engine.errors import IllegalState, Missing
from engine.store import Tx
from engine.store import recipes as store
from engine.store.recipes import Entry, Version
from engine.usecases.forms import Form

REMEMBERED: Final = 256


@dataclass(frozen=True, slots=True)
class Pinned:
    """A recipe version with its form, compiled."""

    recipe: Recipe
    form: Form


class Catalogue:
    """Pinned versions. What is stable never changes, so it is read once."""

    def __init__(self) -> None:
        self._stable: OrderedDict[tuple[str, str], Pinned] = OrderedDict()

    async def pinned(self, tx: Tx, recipe_id: str, v: str) -> Pinned:
        """The stable version ``recipe_id@v``. Raises Missing, and IllegalState for a draft (D7)."""
        key = (recipe_id, v)
        if known := self._stable.get(key):
            self._stable.move_to_end(key)
            return known
        found = self._stable[key] = await _read(tx, recipe_id, v)
        if len(self._stable) > REMEMBERED:
            self._stable.popitem(last=False)
        return found


async def _read(tx: Tx, recipe_id: str, v: str) -> Pinned:
    recipe = await store.find(tx, recipe_id, v)
    if recipe is None:
        raise Missing(f"recipe not found: {recipe_id}@{v}")
    if recipe.status != STABLE:
        message = f"recipe {recipe_id}@{v} is {recipe.status}, not stable"
        raise IllegalState(message, code="recipe_not_stable")
    return Pinned(recipe, Form(recipe.form_schema))


async def newest(tx: Tx) -> list[Entry]:
    """Each recipe at its newest version in natural order, by recipe id (B61)."""
    entries = await store.entries(tx)
    versions = groupby(entries, key=attrgetter("id"))
    return [max(of_recipe, key=lambda entry: natural(entry.v)) for _, of_recipe in versions]


async def versions(tx: Tx, recipe_id: str) -> list[Version]:
    """Every version of the recipe, newest first. Raises Missing."""
    found = await store.versions(tx, recipe_id)
    if not found:
        raise Missing(f"recipe not found: {recipe_id}")
    return sorted(found, key=lambda version: natural(version.v), reverse=True)
