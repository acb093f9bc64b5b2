"""Ask an agent, believe nothing of its answer that was not checked, and keep what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Generic, TypeVar

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish(Generic[Wanted]):
    """What a step wants to know, of which agent, and in which shape."""

    step_id: str
    agent: str
    prompt: str
    shape: type[Wanted]


@dataclass(frozen=True, slots=True)
class Asking:
    """Whoever answers, and the ledger of what was asked of them."""

    pool: Pool
    agents: Agents

    async def ask(self, subject: Subject, wish: Wish[Wanted]) -> tuple[Wanted, Call]:
        """A checked answer, and the call as the step has to keep it.

        An answer that an earlier try of the step kept is taken, and checked like a new one. A
        failure is kept at once, and never taken (B13). Raises RunFailed.
        """
        question = _question(subject, wish)
        call = _call(subject, wish, question, NOBODY)
        answer = NOBODY
        try:
            answer = await self._known(subject, call.op_key) or await self._fresh(question)
            return _checked(wish, answer), _call(subject, wish, question, answer)
        except RunFailed as error:
            failed = _call(subject, wish, question, answer)
            await self.pool.insist(steps.keep_failed, subject, wish.step_id, failed, str(error))
            raise

    async def _known(self, subject: Subject, op_key: str) -> Answer | None:
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

    async def _fresh(self, question: Question) -> Answer:
        plans.require_no_parent(question.inputs)
        return await self.agents.ask(question)


def _question(subject: Subject, wish: Wish[Wanted]) -> Question:
    return Question(
        agent=wish.agent,
        title=f"{subject.run_id} {wish.step_id} {subject.attempt}",
        recipe_id=subject.recipe_id,
        recipe_v=subject.recipe_v,
        inputs=subject.intent["inputs"],
        prompt=wish.prompt,
        schema=wish.shape.model_json_schema(),
    )


def _checked(wish: Wish[Wanted], answer: Answer) -> Wanted:
    """The answer in its shape. Raises RunFailed for a tool it may not use or another shape."""
    plans.require_tools(wish.agent, answer.tools)
    try:
        return wish.shape.model_validate(answer.structured)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False, include_context=False)
        named = ", ".join(pointer(fault["loc"]) or "/" for fault in faults[:5])
        message = f"answer of agent {wish.agent} has another shape: {named}"
        raise RunFailed(message) from error


def _call(subject: Subject, wish: Wish[Wanted], asked: Question, answer: Answer) -> Call:
    """The call as the ledger keeps it: one success for each asking of one thing."""
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
