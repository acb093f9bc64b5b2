"""Ask an agent, and believe nothing of its answer that was not checked."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from pydantic import ValidationError

from engine.contracts.base import Wire
from engine.core import plans
from engine.core.canon import digest
from engine.core.pointers import pointer
from engine.errors import RunFailed
from engine.ports.oc import Answer, Question
from engine.store.steps import Call, Subject

Wanted = TypeVar("Wanted", bound=Wire)


class Concern(Protocol):
    """What agents are asked about: a run, or the rehearsal of one."""

    @property
    def recipe_id(self) -> str:
        """The recipe that it follows."""
        ...

    @property
    def recipe_v(self) -> str:
        """The version of that."""
        ...

    @property
    def intent(self) -> dict[str, Any]:
        """What it is to reach."""
        ...


def question(subject: Concern, agent: str, prompt: str, wanted: type[Wire]) -> Question:
    """What ``agent`` is asked about the subject, to be answered as ``wanted``."""
    return Question(
        agent=agent,
        recipe_id=subject.recipe_id,
        recipe_v=subject.recipe_v,
        inputs=subject.intent["inputs"],
        prompt=prompt,
        schema=wanted.model_json_schema(),
    )


def checked(asked: Question, answer: Answer, wanted: type[Wanted]) -> Wanted:
    """The answer as ``wanted``. Raises RunFailed for a tool it may not use or another shape."""
    if denied := plans.denied_tool(asked.agent, answer.tools):
        raise RunFailed(f"tool-denied: {denied} for agent {asked.agent}")
    try:
        return wanted.model_validate(answer.structured)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False, include_context=False)
        named = ", ".join(pointer(fault["loc"]) or "/" for fault in faults[:5])
        message = f"answer of agent {asked.agent} has another shape: {named}"
        raise RunFailed(message) from error


def call(subject: Subject, step_id: str, asked: Question, answer: Answer) -> Call:
    """The answer as the ledger keeps it: one row for each asking of one thing."""
    schema_hash = digest(dict(asked.schema))
    prompt_hash = digest(asked.prompt)
    return Call(
        op_key=digest([subject.run_id, step_id, subject.attempt, schema_hash, prompt_hash]),
        agent=asked.agent,
        prompt=asked.prompt,
        schema_hash=schema_hash,
        structured=answer.structured,
        tool_calls=[*answer.tools],
        served_by=answer.served_by,
    )
