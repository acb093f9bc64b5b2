"""Runs a recipe's fixtures like runs, but without people and files, and applies its checks.

It starts no run: nobody is asked, no file is written, and ``app.runs`` gets no row. The agents
answer, the sandbox runs every task, and the artifacts are those of a run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from engine.background import agent_calls, tasks
from engine.background.run_steps import COMPILE, DECIDE
from engine.contracts.plans import BuildAnswer, PlanAnswer
from engine.core import evals as rules
from engine.core import identity, plans, recipes, results
from engine.core.artifacts import NO_ERROR
from engine.core.canon import Json
from engine.core.evals import Artifact, Finding, Verdict
from engine.core.executions import Execution
from engine.core.plans import Plan, Task
from engine.core.recipes import Recipe
from engine.core.results import Result
from engine.errors import EngineError, IllegalState, RunFailed
from engine.ports.evals import Evals
from engine.ports.oc import Agents
from engine.ports.sbx import Sandbox
from engine.store import Tx
from engine.store import promotions as store
from engine.store.pool import Pool
from engine.store.promotions import Rehearsed
from engine.store.steps import Left
from engine.usecases import step_artifacts
from engine.usecases.step_artifacts import Made

ATTEMPTS: Final = 3  # of one task, as in a run


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One evaluation of one fixture of one version."""

    recipe_id: str
    recipe_v: str
    intent: dict[str, Any]
    name: str

    @property
    def execution(self) -> Execution:
        """The ids of its artifacts and tasks."""
        return Execution(id=self.name, workflow_id=self.name)


@dataclass(frozen=True, slots=True)
class PromotionEval:
    """Evaluates fixtures with a pool of connections, agents, the sandbox and the checks."""

    pool: Pool
    agents: Agents
    sandbox: Sandbox
    evals: Evals

    async def play(self, promotion_id: str, number: int, fixture_id: str) -> None:
        """Record once what the checks find in run ``number`` of a fixture.

        A fixture that cannot run fails every check.
        """
        recipe = await self.pool.insist(store.subject, promotion_id)
        fixture = next(each for each in recipe.spec["fixtures"] if each["id"] == fixture_id)
        checks = recipe.spec["eval"]
        hashed: str | None = None
        try:
            intent = await _instantiate_fixture(recipe, fixture["formData"])
            hashed = identity.intent_hash(intent)
            name = f"{promotion_id}:{number}:{fixture_id}"
            index = await self._run_scene(_scene(recipe, intent, name))
            found = await self.evals.judge(checks, index)
        except EngineError as error:
            found = [Finding(passed=False, reason=f"fixture:{error}") for _ in checks]
        findings = dict(zip((check["id"] for check in checks), found, strict=True))
        rehearsed = Rehearsed(
            promotion_id=promotion_id,
            round=number,
            fixture_id=fixture_id,
            intent_hash=hashed,
            findings=findings,
        )
        await self.pool.insist(store.keep, rehearsed)

    async def settle(self, promotion_id: str) -> str:
        """The verdict of the findings. If they pass, the version is stable and active with it."""
        return await self.pool.insist(_settle_promotion, promotion_id)

    async def _run_scene(self, scene: Scene) -> list[Artifact]:
        """The artifacts of the scene. Raises RunFailed."""
        asked = agent_calls.question(scene, plans.PLAN, plans.plan_prompt(scene.intent), PlanAnswer)
        plan = agent_calls.check_answer(asked, await self.agents.ask(asked), PlanAnswer).to_core(
            scene.intent["goal"]
        )
        left = _make_artifacts(scene, COMPILE, [Made("plan_card", "plan.json", plan.document)])
        asked = agent_calls.question(
            scene, plans.BUILD, plans.build_prompt(_bare(plan)), BuildAnswer
        )
        build = agent_calls.check_answer(asked, await self.agents.ask(asked), BuildAnswer).to_core()
        made = [
            Made("patch", f"{path}.patch", {"path": path, "diff": diff})
            for path, diff in build.patches
        ]
        left += _make_artifacts(scene, DECIDE, made)
        for task in scene.execution.tasks(build):
            left += tasks.make_artifacts(
                scene.execution.run_id, self.sandbox.name, await self._task(task)
            )
        return [Artifact(each.uri, each.kind, each.inline) for each in left]

    async def _task(self, task: Task) -> Result:
        """The task's result, after retries for infrastructure failures. Raises RunFailed."""
        ended = await self.sandbox.run(task, 1)
        for attempt in range(2, ATTEMPTS + 1):
            if not results.is_infrastructure(ended.err_code):
                break
            ended = await self.sandbox.run(task, attempt)
        if ended.err_code != NO_ERROR:
            raise RunFailed(f"SBX execution failed [{ended.err_code}]")
        return ended


async def _instantiate_fixture(recipe: Recipe, form: dict[str, Json]) -> dict[str, Json]:
    from engine.usecases.forms import Form  # noqa: PLC0415  # JSON Schema, for a promotion alone

    filled = recipes.with_defaults(recipe.form_schema, form)
    await Form(recipe.form_schema).require(filled)
    return recipes.instantiate(recipe, filled)


def _scene(recipe: Recipe, intent: dict[str, Json], name: str) -> Scene:
    return Scene(recipe_id=recipe.id, recipe_v=recipe.v, intent=intent, name=name)


def _bare(plan: Plan) -> dict[str, Json]:
    return plans.without_patches(plan.document)


def _make_artifacts(scene: Scene, step_id: str, made: Sequence[Made]) -> list[Left]:
    return step_artifacts.artifacts(scene.execution.run_id, step_id, made)


async def _settle_promotion(tx: Tx, promotion_id: str) -> str:
    async with tx.transaction():
        subject = await store.subject(tx, promotion_id)
        recipe = await store.hold(tx, subject.id, subject.v)
        due = len(subject.spec["fixtures"]) * len(subject.spec["eval"])
        found = rules.verdict(await store.results(tx, promotion_id), due)
        await _end(tx, recipe or subject, promotion_id, found)
        return (await store.standing(tx, promotion_id)).state


async def _end(tx: Tx, recipe: Recipe, promotion_id: str, found: Verdict) -> None:
    """End the promotion with its verdict, and make a passed version stable, in one transaction."""
    ended = await store.end(tx, promotion_id, found.state, found.hashes)
    if ended and found.state == "passed" and not await store.crown(tx, recipe):
        name = f"{recipe.id}@{recipe.v}"
        raise IllegalState(f"recipe {name} is {recipe.status}, not candidate", code="illegal_state")
