"""The agents: one question, one structured answer, and who gave it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from engine.core.canon import Json

LIVE: Final = "live"
STUB: Final = "stub"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What an agent is asked, for whom, and in which shape it has to answer."""

    agent: str
    title: str
    recipe_id: str
    recipe_v: str
    inputs: Mapping[str, Json]
    prompt: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back, unchecked; ``served_by`` says who it really came from (D34)."""

    structured: Any
    tools: tuple[str, ...]
    served_by: str
    session_id: str | None = None
    server_version: str | None = None


class Agents(Protocol):
    """Whoever answers."""

    async def ask(self, question: Question) -> Answer:
        """The answer to ``question``. Raises RunFailed when nobody may give one."""
        ...
