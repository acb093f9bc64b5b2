"""PromoteRecipe: every fixture twice, then one verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.background.promotion_eval import PromotionEval
from engine.core.evals import ROUNDS
from engine.flows.steps import Steps


@dataclass(frozen=True, slots=True)
class PromotionFlow:
    """The workflow of one promotion."""

    step: Steps
    evaluation: PromotionEval

    async def play(self, promotion_id: str, fixtures: Sequence[str]) -> str:
        """The verdict: passed, failed or flaky. Round 2 begins after round 1 is complete."""
        for number in ROUNDS:
            for fixture in fixtures:
                await self.step("rehearse", self.evaluation.play, promotion_id, number, fixture)
        return await self.step("settle", self.evaluation.settle, promotion_id)
