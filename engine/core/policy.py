"""What the queues, the pinned recipe and the budget allow a start to ask for (D4, D27)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from engine.core import budgets, constraints, identity, templates
from engine.core.budgets import Metric, Scope
from engine.core.canon import Json
from engine.core.queues import INTENT
from engine.core.recipes import Recipe
from engine.core.runs import PRIORITY_OF_LANE, Run
from engine.errors import PolicyViolation

LONGEST_GATE_TTL_S: Final = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What this process demands of every start."""

    partitioned: bool
    gate_ttl_s: int
    app_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a caller asked for beside the form; None is absent (D4)."""

    trace_id: str | None = None
    queue_name: str | None = None
    lane: str | None = None
    priority: int | None = None
    deduplication_id: str | None = None
    timeout_ms: int | None = None
    recipe_name: str | None = None
    recipe_version: str | None = None
    workload: Mapping[str, int] | None = None
    tenant_id: str | None = None
    task_key: str | None = None
    queue_partition_key: str | None = None
    budget: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Violation:
    """One rule broken, and where in the request."""

    pointer: str
    message: str


def plan_run(recipe: Recipe, intent: Mapping[str, Json], options: Options, rules: Rules) -> Run:
    """The run that this start asks for. Raises PolicyViolation, naming every rule it breaks."""
    hashed = identity.intent_hash(dict(intent))
    workflow = identity.workflow_id(hashed)
    if broken := tuple(violations(recipe, intent, hashed, options, rules)):
        raise PolicyViolation(
            broken[0].message,
            details=[{"pointer": item.pointer, "message": item.message} for item in broken],
        )
    lane = options.lane or "interactive"
    return Run(
        id=identity.run_id(workflow),
        workflow_id=workflow,
        intent_hash=hashed,
        recipe_id=recipe.id,
        recipe_v=recipe.v,
        recipe_hash=recipe.hash,
        trace_id=options.trace_id,
        tenant_id=options.tenant_id,
        queue_partition_key=options.queue_partition_key,
        lane=lane,
        priority=options.priority or PRIORITY_OF_LANE[lane],
        timeout_ms=options.timeout_ms,
        workload=_document(options.workload),
        budget=_document(options.budget),
        gate_ttl_s=int(_gate_ttl_s(intent, rules)),
        app_version=rules.app_version,
    )


def violations(
    recipe: Recipe, intent: Mapping[str, Json], hashed: str, options: Options, rules: Rules
) -> Iterator[Violation]:
    """Every rule that this start breaks, the queue's first."""
    yield from _queue(options, rules)
    yield from _blank(options)
    yield from _find_contradictions(recipe, hashed, options)
    yield from _budget(options)
    yield from _caps(recipe, options)
    yield from _gate(intent, rules)
    yield from _sandbox(intent)


def _queue(options: Options, rules: Rules) -> Iterator[Violation]:
    if options.queue_name not in {None, INTENT}:
        message = f"parent intent workflow must use {INTENT} (got {options.queue_name})"
        yield Violation("/opts/queueName", message)
    given = options.queue_partition_key is not None
    if (rules.partitioned or given) and not (options.queue_partition_key or "").strip():
        yield Violation(
            "/opts/queuePartitionKey",
            "queuePartitionKey is required for partitioned operations "
            f"(queue: {INTENT}, isParent: true)",
        )


def _blank(options: Options) -> Iterator[Violation]:
    if options.tenant_id is not None and not options.tenant_id.strip():
        yield Violation("/opts/tenantId", "tenantId cannot be blank")


def _find_contradictions(recipe: Recipe, hashed: str, options: Options) -> Iterator[Violation]:
    """Options that may only say again what the pinned ref says (D4)."""
    table = (
        ("recipeName", options.recipe_name, recipe.id),
        ("recipeVersion", options.recipe_version, recipe.v),
        ("deduplicationID", options.deduplication_id, hashed),
        ("taskKey", options.task_key, identity.workflow_id(hashed)),
    )
    for name, said, pinned in table:
        if said is not None and said != pinned:
            yield Violation(f"/opts/{name}", f"{name} may only restate {pinned}")


def _caps(recipe: Recipe, options: Options) -> Iterator[Violation]:
    limits = recipe.limits
    table = (
        ("concurrency", limits.max_fanout),
        ("steps", limits.max_steps),
        ("sandboxMinutes", limits.max_sbx_min),
    )
    for metric, cap in table:
        asked = (options.workload or {}).get(metric, 0)
        if asked > cap:
            message = f"recipe cap exceeded: {metric} {asked} > {cap}"
            yield Violation(f"/opts/workload/{metric}", message)


def _budget(options: Options) -> Iterator[Violation]:
    workload = options.workload or {}
    table = (
        (Metric.FANOUT, "workload/steps", workload.get("steps", 0)),
        (Metric.MINUTES, "workload/sandboxMinutes", workload.get("sandboxMinutes", 0)),
        (Metric.WALL_CLOCK, "timeoutMS", options.timeout_ms or 0),
    )
    for metric, pointer, observed in table:
        if over := budgets.find_excess(options.budget, {metric: observed}, Scope.INGRESS):
            yield Violation(f"/opts/{pointer}", over.reason)


def _gate(intent: Mapping[str, Json], rules: Rules) -> Iterator[Violation]:
    ttl = _gate_ttl_s(intent, rules)
    if not _is_whole(ttl) or not 1 <= ttl <= LONGEST_GATE_TTL_S:
        message = f"gate TTL must be 1..{LONGEST_GATE_TTL_S} whole seconds, not {ttl}"
        yield Violation("/formData", message)


def _sandbox(intent: Mapping[str, Json]) -> Iterator[Violation]:
    given: Any = intent["constraints"]
    try:
        templates.environment(given)
    except ValueError as error:
        yield Violation("/formData", str(error))


def _gate_ttl_s(intent: Mapping[str, Json], rules: Rules) -> Any:
    given: Any = intent["constraints"]
    return constraints.gate_ttl_s(given, rules.gate_ttl_s)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == int(value)


def _document(value: Mapping[str, int] | None) -> Json:
    return None if value is None else dict(value)
