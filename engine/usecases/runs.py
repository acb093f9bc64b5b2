"""Start a run; read its state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from engine.core import policy, recipes
from engine.core import runs as rules
from engine.core.canon import Json
from engine.core.policy import Options, Rules
from engine.core.runs import Difference, Progress, Run
from engine.core.workflows import Workflow
from engine.errors import Missing
from engine.store import Tx, workflows
from engine.store import runs as store
from engine.store.runs import Started
from engine.usecases.recipes import Catalogue

ATTEMPTS: Final = 3  # a key of a transaction that rolled back is free again


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A run, its progress, and the durable engine's state of its execution."""

    run: Run
    progress: Progress
    workflow: Workflow | None
    is_replay: bool = True


class Ingress:
    """Starts runs under the rules of this process."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._catalogue = Catalogue()

    async def start(
        self, tx: Tx, ref: tuple[str, str], form: Mapping[str, Json], options: Options
    ) -> Seen:
        """The run of this form, started now or before (D2). The order of the checks is D5."""
        pinned = await self._catalogue.pin_version(tx, *ref)
        filled = recipes.with_defaults(pinned.recipe.form_schema, form)
        await pinned.form.require(filled)
        intent = pinned.template.render(filled)
        return await self._enter(tx, pinned.recipe, intent, options)

    async def start_stored(self, tx: Tx, intent_id: str, options: Options) -> Seen:
        """The run of a stored intent under its own recipe, by the same rules."""
        intent = await store.intent(tx, intent_id)
        if intent is None:
            raise Missing(f"intent not found: {intent_id}")
        pinned = await self._catalogue.pin_version(tx, intent.recipe_id, intent.recipe_v)
        return await self._enter(tx, pinned.recipe, intent.json, options)

    async def _enter(
        self, tx: Tx, recipe: recipes.Recipe, intent: dict[str, Json], options: Options
    ) -> Seen:
        wanted = policy.plan_run(recipe, intent, options, self._rules)
        for _ in range(ATTEMPTS):
            if started := await store.start(tx, wanted, intent):
                return await _view_start(tx, wanted, started)
            await _require_same_recipe(tx, wanted)
        raise RuntimeError(f"{wanted.workflow_id} is neither free nor taken")


async def _view_start(tx: Tx, wanted: Run, started: Started) -> Seen:
    """The run as it is now; read it again only if it has another execution."""
    run, progress, workflow = started.run, started.progress, started.workflow
    if started.is_replay:
        rules.require_same(wanted, run)
        if progress.execution_id != run.workflow_id or _has_ended_since(progress, workflow):
            return await _view_run(tx, run, progress)
    return Seen(run=run, progress=progress, workflow=workflow, is_replay=started.is_replay)


async def _require_same_recipe(tx: Tx, wanted: Run) -> None:
    """Check an intent without a run: it belongs to the recipe that rendered it (B44)."""
    if stored := await store.intent(tx, wanted.workflow_id):
        names = ("recipe_id", "recipe_v", "recipe_hash")
        pairs = ((name, getattr(stored, name), getattr(wanted, name)) for name in names)
        found = tuple(Difference(name, old, new) for name, old, new in pairs if old != new)
        if found:
            raise rules.drift(wanted.workflow_id, found)


async def load_run(tx: Tx, wid: str) -> Seen:
    """The run with this workflow id or run id. Raises Missing."""
    return await _view_run(tx, *await store.load(tx, wid))


async def _view_run(tx: Tx, run: Run, progress: Progress) -> Seen:
    workflow = await workflows.find(tx, progress.execution_id)
    if _has_ended_since(progress, workflow):
        # The row was read before its execution ended. Read it again for the state at the end.
        run, later = await store.load(tx, run.workflow_id)
        if later.execution_id != progress.execution_id:
            return await _view_run(tx, run, later)
        progress = later
    return Seen(run=run, progress=progress, workflow=workflow)


def _has_ended_since(progress: Progress, workflow: Workflow | None) -> bool:
    """Whether the run's row may be older than the end of its execution."""
    return workflow is not None and workflow.has_ended and progress.status not in rules.TERMINAL
