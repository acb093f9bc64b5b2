"""The registry of recipes: list, import, export, and pin the version of a start."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any, Final

from engine.core.recipes import DRAFT, STABLE, Recipe, Template, natural, spec_hash
from engine.errors import Drift, IllegalState, Missing
from engine.store import Tx
from engine.store import recipes as store
from engine.store.recipes import Entry, Version
from engine.usecases.forms import Form

REMEMBERED: Final = 256


@dataclass(frozen=True, slots=True)
class Pinned:
    """A recipe version with its compiled form and template."""

    recipe: Recipe
    form: Form
    template: Template


class Catalogue:
    """Pinned versions. A stable version never changes, so it is read once."""

    def __init__(self) -> None:
        self._stable: OrderedDict[tuple[str, str], Pinned] = OrderedDict()

    async def pin_version(self, tx: Tx, recipe_id: str, v: str) -> Pinned:
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
    return Pinned(recipe, Form(recipe.form_schema), Template.of(recipe))


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


async def bring_in(tx: Tx, specs: Sequence[dict[str, Any]]) -> list[Recipe]:
    """Import every spec as a draft, all or none. An equal existing version stays as it is.

    Raises IllegalState if a stable version exists, equal or not, and Drift for another content
    (B60).
    """
    wanted = [Recipe(one["id"], one["v"], spec_hash(one), DRAFT, one) for one in specs]
    kept: dict[tuple[str, str], Recipe] = {}
    async with tx.transaction():
        for recipe in sorted(wanted, key=attrgetter("id", "v")):  # no deadlock of two bundles
            await store.keep_draft(tx, recipe)
            kept[recipe.id, recipe.v] = await _same(tx, recipe)
    return [kept[recipe.id, recipe.v] for recipe in wanted]


async def _same(tx: Tx, recipe: Recipe) -> Recipe:
    """The stored version, which must equal ``recipe``."""
    stored = await store.find(tx, recipe.id, recipe.v)
    name = f"{recipe.id}@{recipe.v}"
    if stored is None:
        raise RuntimeError(f"{name} is neither free nor taken")
    if stored.status == STABLE:
        raise IllegalState(f"stable recipe version is immutable: {name}", code="recipe_immutable")
    if stored.hash != recipe.hash:
        drift = [{"field": "hash", "existing": stored.hash, "incoming": recipe.hash}]
        message = f"recipe version is there with another content: {name}"
        raise Drift(message, code="recipe_conflict", drift=drift)
    return stored


async def export_specs(tx: Tx, recipe_id: str) -> list[dict[str, Any]]:
    """The spec of every version of the recipe, oldest first. Raises Missing (B62)."""
    return [version.spec for version in reversed(await versions(tx, recipe_id))]
