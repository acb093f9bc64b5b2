"""Start a run; read one: its header, steps, ledger and artifacts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator

from engine.contracts.base import pointer
from engine.contracts.runs import (
    ArtifactRef,
    InteractionRow,
    RecipeRef,
    RunError,
    RunHeader,
    StartedRun,
    StepRow,
)
from engine.core import policy, recipes
from engine.core import runs as rules
from engine.core.canon import Json, canonical
from engine.core.policy import Options, Rules
from engine.core.recipes import Recipe
from engine.core.runs import Progress, Run
from engine.errors import Conflict, Malformed, Missing
from engine.store import Tx, artifacts, gates, workflows
from engine.store import recipes as recipe_store
from engine.store import runs as store
from engine.usecases.posture import Posture

STEPS = ("CompileST", "ApplyPatchST", "DecideST", "ExecuteST", "BUDGET")
TEXT_KINDS = frozenset({"text", "stdout", "stderr", "none", "file"})


async def start(
    tx: Tx, rules_: Rules, recipe: Recipe, form: Mapping[str, Json], options: Options
) -> tuple[Run, Progress, bool]:
    """The run, its progress and whether it had been started before (D2, D3, D5).

    Raises Conflict for a recipe that is not stable, Malformed for the form, PolicyViolation, Drift.
    """
    require_stable(recipe)
    filled = recipes.with_defaults(recipe.form_schema, form)
    check_form(recipe, filled)
    intent = recipes.instantiate(recipe, filled)
    return await begin(tx, policy.planned(recipe, intent, options, rules_), intent)


async def again(
    tx: Tx, rules_: Rules, intent_id: str, options: Options
) -> tuple[Run, Progress, bool]:
    """The run of a stored intent, by the same law. Raises Missing for an unknown intent."""
    stored = await store.intent(tx, intent_id)
    if stored is None:
        raise Missing(f"intent not found: {intent_id}")
    recipe = await recipe_of(tx, stored.recipe_id, stored.recipe_v)
    require_stable(recipe)
    run = policy.planned(recipe, stored.json, options, rules_)
    return await begin(tx, run, stored.json)


async def begin(tx: Tx, run: Run, intent: dict[str, Json]) -> tuple[Run, Progress, bool]:
    """Keep and enqueue ``run`` in one statement, or meet the one that is there. Raises Drift."""
    if progress := await store.start(tx, run, intent):
        return run, progress, False
    found = await store.find(tx, run.workflow_id)
    if found is None:
        raise await _other_recipe(tx, run)
    rules.require_same(run, found[0])
    return *found, True


async def _other_recipe(tx: Tx, run: Run) -> Conflict:
    """The refusal when the stored intent was rendered by another recipe and never started."""
    stored = await store.intent(tx, run.workflow_id)
    if stored is None:
        raise RuntimeError(f"start of {run.workflow_id} met neither a run nor an intent")
    pairs = (
        ("recipe_id", stored.recipe_id, run.recipe_id),
        ("recipe_v", stored.recipe_v, run.recipe_v),
        ("recipe_hash", stored.recipe_hash, run.recipe_hash),
    )
    found = tuple(rules.Difference(name, old, new) for name, old, new in pairs if old != new)
    return rules.drift(run.workflow_id, found)


async def recipe_of(tx: Tx, recipe_id: str, v: str) -> Recipe:
    """Exactly this version. Raises Missing."""
    if recipe := await recipe_store.find(tx, recipe_id, v):
        return recipe
    raise Missing(f"recipe not found: {recipe_id}@{v}")


def require_stable(recipe: Recipe) -> None:
    """Raises Conflict unless the version is stable (D7)."""
    if recipe.status != recipes.STABLE:
        message = f"recipe {recipe.id}@{recipe.v} is {recipe.status}, not stable"
        raise Conflict(message, code="recipe_not_stable")


def check_form(recipe: Recipe, form: Mapping[str, Json]) -> None:
    """Raises Malformed that names every field of ``form`` its JSON Schema refuses (D26)."""
    faults = [
        {"pointer": f"/formData{pointer(tuple(each.absolute_path))}", "message": each.message}
        for each in Draft202012Validator(recipe.form_schema).iter_errors(dict(form))
    ]
    if faults:
        message = f"invalid form: {len(faults)} faults"
        raise Malformed(message, code="invalid_request", details=faults)


async def header(tx: Tx, posture: Posture, wid: str) -> RunHeader:
    """The run's header, merged from both schemas in two queries (D10). Raises Missing."""
    run, progress = await store.load(tx, wid)
    workflow = await workflows.find(tx, progress.execution_id)
    fields = _header(posture, run, progress)
    if workflow is not None:
        fields |= {
            "status": str(rules.merged(progress.status, workflow.status)),
            "workflow_version": workflow.application_version,
            "output": None if workflow.output is None else json.loads(workflow.output),
        }
    return RunHeader(**fields)


def started(posture: Posture, run: Run, progress: Progress, *, is_replay: bool) -> StartedRun:
    """The answer to a start."""
    return StartedRun(**_header(posture, run, progress), is_replay=is_replay)


def _header(posture: Posture, run: Run, progress: Progress) -> dict[str, Any]:
    return {
        "workflow_id": run.workflow_id,
        "run_id": run.id,
        "recipe_ref": RecipeRef(id=run.recipe_id, v=run.recipe_v),
        "recipe_hash": run.recipe_hash,
        "intent_hash": run.intent_hash,
        "status": str(rules.OF_APP[progress.status]),
        "durable_status": progress.status,
        "workflow_name": rules.WORKFLOW_NAME,
        "created_at": _ms(progress.created_at),
        "updated_at": _ms(progress.updated_at),
        "queue": run.queue_name,
        "queue_partition_key": run.queue_partition_key,
        "lane": run.lane,
        "priority": run.priority,
        "trace_id": run.trace_id,
        "span_id": None,
        "next_action": progress.next_action,
        "last_step": progress.last_step,
        "retry_count": progress.retry_count,
        "error": None if progress.error is None else RunError(message=progress.error),
        "output": None,
        "workflow_version": None,
        "execution_id": progress.execution_id,
        **posture.as_header(),
    }


def _ms(at: Any) -> int:
    return int(at.timestamp() * 1000)


async def steps(tx: Tx, wid: str) -> list[StepRow]:
    """The domain's steps in their order, each with its artifacts (D9). Raises Missing."""
    run, _ = await store.load(tx, wid)
    left = await artifacts.of_run(tx, run.id)
    rows = await artifacts.steps(tx, run.id)
    return [
        StepRow(
            step_id=row.step_id,
            name=row.step_id,
            phase=row.phase,
            status="SUCCESS",
            attempt=row.attempt,
            started_at=_ms(row.started_at),
            ended_at=_ms(row.finished_at),
            artifact_refs=[
                ArtifactRef(id=one.uri, kind=one.kind, sha256=one.sha256)
                for one in left
                if one.step_id == row.step_id
            ],
            trace_id=row.trace_id,
            span_id=row.span_id,
        )
        for row in sorted(rows, key=lambda row: STEPS.index(row.step_id))
    ]


async def interactions(tx: Tx, wid: str, limit: int) -> list[InteractionRow]:
    """The run's accepted answers, oldest first. Raises Missing."""
    run, _ = await store.load(tx, wid)
    return [
        InteractionRow(
            workflow_id=one.workflow_id,
            gate_key=one.gate_key,
            topic=one.topic,
            dedupe_key=one.dedupe_key,
            payload_hash=one.payload_hash,
            origin=one.origin,
            created_at=_ms(one.created_at),
        )
        for one in await gates.interactions(tx, run.id, limit)
    ]


async def artifact(tx: Tx, uri: str) -> tuple[bytes, str]:
    """The artifact's bytes, whose sha256 is its digest, and their media type. Raises Missing."""
    found = await artifacts.by_uri(tx, uri)
    if found is None:
        raise Missing("artifact not found")
    if found.kind in TEXT_KINDS:
        return str(found.inline["text"]).encode(), "text/plain; charset=utf-8"
    return canonical(found.inline), "application/json"
