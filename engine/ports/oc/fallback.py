"""For ``OC_STRICT_MODE=0``: a marked stub answer if the server is unavailable."""

from __future__ import annotations

from dataclasses import dataclass, replace

from engine.errors import AgentsUnavailable
from engine.ports.oc import STUB, Agents, Answer, Question


@dataclass(frozen=True, slots=True)
class Fallback:
    """The answers of ``live``, or of ``stub`` if ``live`` is unavailable."""

    live: Agents
    stub: Agents

    async def ask(self, question: Question) -> Answer:
        """The answer, which says who gave it. Refusals and timeouts stay failures (D34)."""
        try:
            return await self.live.ask(question)
        except AgentsUnavailable:
            return replace(await self.stub.ask(question), served_by=STUB)
