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
    """A question to an agent: its subject, and the shape of the answer."""

    agent: str
    title: str
    recipe_id: str
    recipe_v: str
    inputs: Mapping[str, Json]
    prompt: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An unchecked answer; ``served_by`` says who really gave it (D34)."""

    structured: Any
    tools: tuple[str, ...]
    served_by: str
    session_id: str | None = None
    server_version: str | None = None


class Agents(Protocol):
    """Answers questions."""

    async def ask(self, question: Question) -> Answer:
        """The answer to ``question``. Raises RunFailed when nobody may give one."""
        ...
