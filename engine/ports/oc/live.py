"""Answers of an OpenCode server: one session per question, with checks of schema and tools.

The session's rules make the server refuse every tool that the agent may not use. The engine also
checks afterwards that the agent used none (D34).
"""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass
from typing import Any, Final

from jsonschema import Draft202012Validator

from engine.core import plans
from engine.core.canon import Json
from engine.core.pointers import pointer
from engine.errors import AgentsUnavailable, RunFailed
from engine.ports.oc import LIVE, Answer, Question, wire
from engine.ports.oc.daemon import Daemon

CONCISE: Final = "\nBe concise: answer at once, with as little as the schema allows."
ONCE_MORE: Final = 2  # prompts per question: the first, and one after a stall


@dataclass(frozen=True, slots=True)
class Live:
    """The agents of the server; a prompt may take ``timeout_s``, and then once more."""

    daemon: Daemon
    timeout_s: float

    async def ask(self, question: Question) -> Answer:
        """The answer of the server's agent. Raises AgentsUnavailable, RunFailed."""
        health = await self.daemon.health()
        session = await self.daemon.create_session(
            question.title, permission(plans.allowed_tools(question.agent))
        )
        if session.parent_id is not None:
            raise plans.child_session(session.id)
        message = await self._prompt_session(session.id, question)
        tools = await self.daemon.tools(session.id)
        if children := await self.daemon.children(session.id):
            raise plans.child_session(children[0].id)
        _require_storable(message)
        if plans.denied_tool(question.agent, tools) is None:  # else the tool is the error
            _require_answer(question, message)
        return Answer(
            structured=message.info.structured,
            tools=tools,
            served_by=LIVE,
            session_id=session.id,
            server_version=f"{health.server} {health.version}",
        )

    async def _prompt_session(self, session_id: str, question: Question) -> wire.Message:
        """The answer to the first prompt, or to a shorter one after the first was taken back."""
        for number in range(ONCE_MORE):
            text = question.prompt + (CONCISE if number else "")
            message_id = _message_id()
            body = _prompt(question, text, message_id)
            try:
                return await self.daemon.prompt(session_id, body, self.timeout_s)
            except TimeoutError:
                await self._abort_prompt(session_id, message_id, last=number + 1 == ONCE_MORE)
        raise RunFailed(
            f"oc_timeout_terminal: agent {question.agent} gave no answer"
            f" within {ONCE_MORE} x {self.timeout_s:g} s"
        )

    async def _abort_prompt(self, session_id: str, message_id: str, *, last: bool) -> None:
        """Abort the prompt. A failure to abort matters only if another prompt follows."""
        try:
            await self.daemon.abort(session_id)
        except AgentsUnavailable:
            if last:
                return
        if not last:
            await self.daemon.revert(session_id, message_id)


def permission(tools: frozenset[str]) -> list[Json]:
    """The rules of a session that allow only ``tools``."""
    allowed = ["*", *sorted(tools)]
    return [
        {"permission": name, "pattern": "*", "action": "deny" if name == "*" else "allow"}
        for name in allowed
    ]


def _message_id() -> str:
    """A message id in the server's form: later ids sort after earlier ones."""
    ticks = (time.time_ns() // 1_000_000 << 12) & (2**48 - 1)
    return f"msg_{ticks:012x}{secrets.token_hex(7)}"


def _prompt(question: Question, text: str, message_id: str) -> dict[str, Json]:
    return {
        "messageID": message_id,
        "agent": question.agent,
        "parts": [{"type": "text", "text": text}],
        "format": {"type": "json_schema", "schema": dict(question.schema)},
    }


def _require_storable(message: wire.Message) -> None:
    """Raises AgentsUnavailable for an answer with a NUL, which the database cannot store."""
    if r"\u0000" in json.dumps(message.info.structured):
        raise AgentsUnavailable.of("promptStructured", "structured answer holds NUL")


def _require_answer(question: Question, message: wire.Message) -> None:
    """Raises AgentsUnavailable for an error instead of an answer, and for a broken schema."""
    operation = "promptStructured"
    if message.info.error is not None:
        raise AgentsUnavailable.of(operation, message.info.error.description)
    faults: list[Any] = [
        *Draft202012Validator(question.schema).iter_errors(message.info.structured)
    ]
    if faults:
        where = ", ".join(pointer(fault.absolute_path) or "/" for fault in faults[:5])
        raise AgentsUnavailable.of(operation, f"structured answer off schema: {where}")
