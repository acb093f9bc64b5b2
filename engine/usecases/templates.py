"""Give each attempt of a task the sandbox that was made ready for it, and register such."""

from __future__ import annotations

from engine.core import templates as rules
from engine.core.templates import Environment
from engine.errors import Conflict, Missing, RunFailed
from engine.store import Tx, recipes
from engine.store import templates as store
from engine.store.templates import Selection, Template


async def select(tx: Tx, run_id: str, task_key: str, attempt: int) -> None:
    """It is on record what the attempt gets, before it begins. Raises RunFailed."""
    needs = await store.needs(tx, run_id)
    if needs is None:
        raise RunFailed(f"a task of no run: {run_id}")
    wanted = rules.environment(needs.constraints)
    key = rules.key(needs.recipe_id, needs.recipe_v, wanted.deps_hash)
    selection = Selection(
        run_id=run_id,
        task_key=task_key,
        attempt=attempt,
        template_key=key,
        recipe_id=needs.recipe_id,
        recipe_v=needs.recipe_v,
        deps_hash=wanted.deps_hash,
        template_id=needs.templates.get(key),
    )
    await store.select(tx, selection)


async def register(
    tx: Tx, ref: tuple[str, str], wanted: Environment, template_id: str
) -> tuple[Template, bool]:
    """The template of these dependencies, and whether it is new. Raises Missing, Conflict."""
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
    (known,) = [each for each in await store.listed(tx) if each.template_key == made.template_key]
    if known.template_id != template_id:
        raise Conflict(f"template drift: {known.template_key} is {known.template_id}")
    return known, False
