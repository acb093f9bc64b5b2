"""What ``OC_STRICT_MODE=0`` allows: a canned answer where the server has none, and marked so."""

from __future__ import annotations

from dataclasses import dataclass, replace

from engine.errors import AgentsUnavailable
from engine.ports.oc import STUB, Agents, Answer, Question


@dataclass(frozen=True, slots=True)
class Fallback:
    """The answers of ``live``, and of ``stub`` where it is unavailable."""

    live: Agents
    stub: Agents

    async def ask(self, question: Question) -> Answer:
        """The answer, which says who gave it. What is refused or out of time stays so (D34)."""
        try:
            return await self.live.ask(question)
        except AgentsUnavailable:
            return replace(await self.stub.ask(question), served_by=STUB)
