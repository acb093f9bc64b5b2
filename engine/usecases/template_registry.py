"""Registers sandboxes that are prepared for a recipe's tasks."""

from __future__ import annotations

from engine.core import templates as rules
from engine.core.templates import Environment
from engine.errors import Conflict, Missing
from engine.store import Tx, recipes
from engine.store import templates as store
from engine.store.templates import Template


async def register(
    tx: Tx, ref: tuple[str, str], wanted: Environment, template_id: str
) -> tuple[Template, bool]:
    """Register the template of these dependencies; tell if it is new. Raises Missing, Conflict."""
    recipe_id, recipe_v = ref
    if await recipes.find(tx, recipe_id, recipe_v) is None:
        raise Missing(f"recipe not found: {recipe_id}@{recipe_v}")
    made = Template(
        recipe_id=recipe_id,
        recipe_v=recipe_v,
        deps_hash=wanted.deps_hash,
        template_key=rules.key(recipe_id, recipe_v, wanted.deps_hash),
        template_id=template_id,
        environment=wanted.document,
    )
    if await store.register(tx, made):
        return made, True
    (known,) = [
        each for each in await store.list_templates(tx) if each.template_key == made.template_key
    ]
    if known.template_id != template_id:
        raise Conflict(f"template drift: {known.template_key} is {known.template_id}")
    return known, False
