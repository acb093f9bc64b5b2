"""Asks agents, checks every answer, and keeps the calls in the ledger."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final, Generic, Protocol, TypeVar

from pydantic import ValidationError

from engine.contracts.base import Wire
from engine.core import plans
from engine.core.canon import digest
from engine.core.pointers import pointer
from engine.errors import RunFailed
from engine.ports.oc import Agents, Answer, Question
from engine.store import steps
from engine.store.pool import Pool
from engine.store.steps import Call, Subject

Wanted = TypeVar("Wanted", bound=Wire)
NOBODY: Final = Answer(structured=None, tools=(), served_by="none")


class Concern(Protocol):
    """The subject of a call to an agent: a run, or the evaluation of a fixture."""

    @property
    def recipe_id(self) -> str:
        """The id of its recipe."""
        ...

    @property
    def recipe_v(self) -> str:
        """The version of its recipe."""
        ...

    @property
    def intent(self) -> dict[str, Any]:
        """Its intent."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish(Generic[Wanted]):
    """What a step asks, which agent it asks, and the shape of the answer."""

    step_id: str
    agent: str
    prompt: str
    shape: type[Wanted]


@dataclass(frozen=True, slots=True)
class Asking:
    """The agents, and the ledger of the calls to them."""

    pool: Pool
    agents: Agents

    async def ask(self, subject: Subject, wish: Wish[Wanted]) -> tuple[Wanted, Call]:
        """Ask; return a checked answer, and the call that the step must keep.

        An answer from an earlier try of the step is used again, and checked like a new one. A
        failure is kept at once and never used again (B13). Raises RunFailed.
        """
        title = f"{subject.run_id} {wish.step_id} {subject.attempt}"
        asked = replace(question(subject, wish.agent, wish.prompt, wish.shape), title=title)
        call = _call(subject, wish, asked, NOBODY)
        answer = NOBODY
        try:
            answer = await self._find_answer(subject, call.op_key) or await self._fresh(asked)
            return check_answer(asked, answer, wish.shape), _call(subject, wish, asked, answer)
        except RunFailed as error:
            failed = _call(subject, wish, asked, answer)
            await self.pool.insist(steps.keep_failed, subject, wish.step_id, failed, str(error))
            raise

    async def _find_answer(self, subject: Subject, op_key: str) -> Answer | None:
        if op_key not in subject.answered:
            return None
        given = await self.pool.insist(steps.answer, op_key)
        if given is None:
            return None
        return Answer(
            structured=given.structured,
            tools=tuple(given.tool_calls),
            served_by=given.served_by,
            session_id=given.session_id,
            server_version=given.server_version,
        )

    async def _fresh(self, asked: Question) -> Answer:
        plans.require_no_parent(asked.inputs)
        return await self.agents.ask(asked)


def question(subject: Concern, agent: str, prompt: str, wanted: type[Wire]) -> Question:
    """The question to ``agent`` about the subject, with ``wanted`` as the shape of the answer."""
    return Question(
        agent=agent,
        title=f"{subject.recipe_id}@{subject.recipe_v}",
        recipe_id=subject.recipe_id,
        recipe_v=subject.recipe_v,
        inputs=subject.intent["inputs"],
        prompt=prompt,
        schema=wanted.model_json_schema(),
    )


def check_answer(asked: Question, answer: Answer, wanted: type[Wanted]) -> Wanted:
    """The answer as ``wanted``. Raises RunFailed for a denied tool or another shape."""
    plans.require_tools(asked.agent, answer.tools)
    try:
        return wanted.model_validate(answer.structured)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False, include_context=False)
        named = ", ".join(pointer(fault["loc"]) or "/" for fault in faults[:5])
        message = f"answer of agent {asked.agent} has another shape: {named}"
        raise RunFailed(message) from error


def _call(subject: Subject, wish: Wish[Wanted], asked: Question, answer: Answer) -> Call:
    """The call in the form of the ledger: one success for each question."""
    schema_hash = digest(dict(asked.schema))
    prompt_hash = digest(asked.prompt)
    return Call(
        op_key=digest([subject.run_id, wish.step_id, subject.attempt, schema_hash, prompt_hash]),
        agent=asked.agent,
        prompt=asked.prompt,
        schema_hash=schema_hash,
        structured=answer.structured,
        tool_calls=[*answer.tools],
        served_by=answer.served_by,
        session_id=answer.session_id,
        server_version=answer.server_version,
    )
