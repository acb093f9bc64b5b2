"""One step of a recipe version: from draft to candidate, or from candidate to stable (D26).

A workflow that runs its fixtures twice makes a candidate stable. A caller who asks during such a
workflow waits for the same workflow.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from engine.core.canon import digest
from engine.core.evals import Result
from engine.core.recipes import CANDIDATE, DRAFT, STABLE, Recipe
from engine.errors import IllegalState, Missing
from engine.store import Tx, workflows
from engine.store import promotions as store
from engine.store.endings import Endings
from engine.store.pool import Pool
from engine.store.queue_signals import QueueSignals

WAIT_S: Final = 25.0
REFUSED: Final = "promotion_refused"
FLAKY: Final = "promotion_flaky"
RUNNING: Final = "running"
PASSED: Final = "passed"
ABANDONED: Final = "abandoned"
MAX_DETAILS: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The status of a version after a step, or during one if not ``is_over``."""

    recipe: Recipe
    active_v: str | None
    promotion_id: str | None = None
    outcome_hash: str | None = None
    is_over: bool = True


@dataclass(frozen=True, slots=True)
class Promotions:
    """Promotes over one pool of connections; starts workflows for ``app_version``."""

    pool: Pool
    endings: Endings
    signals: QueueSignals
    app_version: str

    async def promote(self, recipe_id: str, v: str) -> Step:
        """Move the version one step further. Raises Missing, IllegalState with the cause."""
        async with self.pool.connection() as tx:
            begun = await _begin_step(tx, recipe_id, v, self.app_version)
        if begun.promotion_id is None:
            return begun
        self.signals.send()
        with suppress(TimeoutError):
            async with asyncio.timeout(WAIT_S):
                await self.endings.wait(begun.promotion_id)
        async with self.pool.connection() as tx:
            return await _came_to(tx, begun, begun.promotion_id)


async def _begin_step(tx: Tx, recipe_id: str, v: str, app_version: str) -> Step:
    """Do the step of a draft at once; for a candidate, find or start its promotion."""
    async with tx.transaction():
        recipe = await store.hold(tx, recipe_id, v)
        if recipe is None:
            raise Missing(f"recipe not found: {recipe_id}@{v}")
        if recipe.status == STABLE:
            raise IllegalState(f"recipe {recipe_id}@{v} is stable already", code="illegal_state")
        active_v = await store.active_v(tx, recipe_id)
        if recipe.status == DRAFT:
            await store.nominate(tx, recipe)
            return Step(recipe=replace(recipe, status=CANDIDATE), active_v=active_v)
        _require_rehearsable(recipe)
        promotion_id = await _under_way(tx, recipe, app_version)
        return Step(recipe=recipe, active_v=active_v, promotion_id=promotion_id)


async def _under_way(tx: Tx, recipe: Recipe, app_version: str) -> str:
    """The promotion of the candidate that has not ended, or a new one."""
    if known := await store.under_way(tx, recipe):
        if not await workflows.find_ended(tx, [known]):
            return known
        await store.end(tx, known, ABANDONED, None)  # it was canceled or had an error
    prefix = digest({"recipe": recipe.id, "v": recipe.v})[:32]
    return await store.begin(tx, recipe, f"pro:{prefix}", app_version)


def _require_rehearsable(recipe: Recipe) -> None:
    """Check that the recipe has fixtures and evals. Raises IllegalState."""
    for part, name in (("fixtures", "fixture"), ("eval", "eval")):
        if not recipe.spec[part]:
            raise _make_refusal(recipe, f"it has no {name}")


async def _came_to(tx: Tx, begun: Step, promotion_id: str) -> Step:
    """The result of the promotion; the same step while it runs. Raises IllegalState."""
    ended = await workflows.find_ended(tx, [promotion_id])  # first: its verdict is written before
    stands = await store.standing(tx, promotion_id)
    if stands.state == PASSED:
        recipe = replace(begun.recipe, status=stands.status)
        outcome_hash = next(iter(stands.outcome_hashes or ()), None)
        return replace(
            begun, recipe=recipe, active_v=stands.active_v, outcome_hash=outcome_hash, is_over=True
        )
    if stands.state == RUNNING and not ended:
        return replace(begun, is_over=False)
    if stands.outcome_hashes is None:
        raise _make_refusal(begun.recipe, f"{promotion_id} ended without a verdict")
    raise _refuse_failed_checks(begun.recipe, await store.results(tx, promotion_id))


def _refuse_failed_checks(recipe: Recipe, results: Sequence[Result]) -> IllegalState:
    """The refusal of a recipe whose checks did not pass twice; it names each check."""
    by_check: dict[tuple[str, str], list[Result]] = {}
    for each in results:
        by_check.setdefault((each.fixture_id, each.check_id), []).append(each)
    told = {place: [each.reason for each in rounds] for place, rounds in by_check.items()}
    flaky = {place: reasons for place, reasons in told.items() if len(set(reasons)) > 1}
    failed = {(each.fixture_id, each.check_id): told[each.fixture_id, each.check_id]
              for each in results if not each.passed}  # fmt: skip
    whys = [_why(place, reasons) for place, reasons in (flaky or failed).items()]
    numbers = {check["id"]: number for number, check in enumerate(recipe.spec["eval"])}
    details = [
        {"pointer": f"/eval/{numbers[check]}", "message": why}
        for (_, check), why in zip(flaky or failed, whys, strict=True)
    ]
    code = FLAKY if flaky else REFUSED
    return _make_refusal(recipe, whys[0], code, details=details[:MAX_DETAILS])


def _why(place: tuple[str, str], reasons: Sequence[str]) -> str:
    fixture, check = place
    said = " then ".join(dict.fromkeys(reasons))
    return f"{'flaky ' if len(set(reasons)) > 1 else ''}check {check} of fixture {fixture}: {said}"


def _make_refusal(recipe: Recipe, why: str, code: str = REFUSED, **facts: object) -> IllegalState:
    message = f"recipe {recipe.id}@{recipe.v} was not promoted: {why}"
    return IllegalState(message, code=code, **facts)
