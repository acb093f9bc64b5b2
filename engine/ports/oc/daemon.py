"""An OpenCode server over HTTP: one method per operation, and one kind of failure for all.

Everything except the promised JSON is ``oc_live_unavailable:<operation>:<why>`` (D34): no
connection, no answer in time, another status, HTML, cut or foreign JSON.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import httpx
from pydantic import TypeAdapter, ValidationError

from engine.core.canon import Json
from engine.core.pointers import pointer
from engine.errors import AgentsUnavailable
from engine.ports.oc import wire

T = TypeVar("T")
CONTROL_S: Final = 10.0  # for everything but a prompt: these need no model
LARGEST: Final = 16 * 1024 * 1024
SAID_AT_MOST: Final = 300
CURSOR: Final = "x-next-cursor"
# The server cannot show the question itself when that asked for a schema (1.18.33); any other
# refusal to list messages is one.
QUESTION: Final = "BadRequest: Expected OutputFormatJsonSchema"


@dataclass(frozen=True, slots=True)
class Call:
    """One request: its operation and its time limit."""

    operation: str
    method: str
    path: str
    body: Mapping[str, Json] | None = None
    query: Mapping[str, str] | None = None
    within_s: float = CONTROL_S


@dataclass(frozen=True, slots=True)
class Raw:
    """What came back, whole."""

    status: int
    headers: httpx.Headers
    content: bytes


class Daemon:
    """The server at ``base_url``; the environment's settings, such as a proxy, do not apply."""

    def __init__(self, base_url: str) -> None:
        self._client = httpx.AsyncClient(
            base_url=base_url,
            trust_env=False,
            timeout=None,  # noqa: S113  # each call has its own bound, which covers all of it
        )

    async def health(self) -> wire.Health:
        """Check that it is healthy; return its version."""
        return await self._ask_as(Call("health", "GET", "/global/health"), wire.HEALTH)

    async def agents(self) -> list[str]:
        """The names of its agents."""
        found = await self._ask_as(Call("agents", "GET", "/agent"), wire.AGENTS)
        return [agent.name for agent in found]

    async def create_session(self, title: str, permission: list[Json]) -> wire.Session:
        """Create a session in which the agent may only call what ``permission`` allows."""
        body: dict[str, Json] = {"title": title, "permission": permission}
        return await self._ask_as(Call("createSession", "POST", "/session", body), wire.SESSION)

    async def prompt(
        self, session_id: str, body: Mapping[str, Json], within_s: float
    ) -> wire.Message:
        """Send a prompt; return the last message. Raises TimeoutError after ``within_s``."""
        path = f"/session/{session_id}/message"
        call = Call("promptStructured", "POST", path, body, within_s=within_s)
        raw = await self._within(call)
        return self._read(call, raw, wire.MESSAGE)

    async def tools(self, session_id: str) -> tuple[str, ...]:
        """Every tool that was called in the session, in order."""
        used: list[str] = []
        query = {"limit": "1"}  # page by page, the newest first
        while True:
            call = Call("messages", "GET", f"/session/{session_id}/message", query=query)
            raw = await self._call_within(call)
            if raw.status == httpx.codes.BAD_REQUEST and _refusal(raw).startswith(QUESTION):
                return tuple(used)
            found = self._read(call, raw, wire.MESSAGES)
            used[:0] = [tool for message in found for tool in message.tools]
            if CURSOR not in raw.headers or not found:
                return tuple(used)
            query = {"limit": "1", "before": raw.headers[CURSOR]}

    async def children(self, session_id: str) -> list[wire.Session]:
        """The sessions that were opened from within the session."""
        call = Call("children", "GET", f"/session/{session_id}/children")
        return await self._ask_as(call, wire.SESSIONS)

    async def abort(self, session_id: str) -> None:
        """End everything that goes on in the session."""
        call = Call("abort", "POST", f"/session/{session_id}/abort", within_s=1.0)
        await self._ask_as(call, wire.TRUTH)

    async def revert(self, session_id: str, message_id: str) -> None:
        """Take back the message and everything that followed from it."""
        body: dict[str, Json] = {"messageID": message_id}
        call = Call("revert", "POST", f"/session/{session_id}/revert", body, within_s=2.0)
        await self._ask_as(call, wire.SESSION)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def _ask_as(self, call: Call, shape: TypeAdapter[T]) -> T:
        return self._read(call, await self._call_within(call), shape)

    async def _call_within(self, call: Call) -> Raw:
        try:
            return await self._within(call)
        except TimeoutError as error:
            why = f"no answer within {call.within_s:g} s"
            raise AgentsUnavailable.of(call.operation, why) from error

    async def _within(self, call: Call) -> Raw:
        """The answer, read to its end. Raises TimeoutError, AgentsUnavailable."""
        try:
            async with asyncio.timeout(call.within_s):
                return await self._send_call(call)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            why = f"{type(error).__name__}: {error}".rstrip(": ")
            raise AgentsUnavailable.of(call.operation, why) from error

    async def _send_call(self, call: Call) -> Raw:
        request = self._client.build_request(
            call.method, call.path, json=call.body, params=call.query
        )
        response = await self._client.send(request, stream=True)
        content = bytearray()
        try:
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) > LARGEST:
                    raise AgentsUnavailable.of(call.operation, f"over {LARGEST} bytes")
        finally:
            await response.aclose()
        return Raw(response.status_code, response.headers, bytes(content))

    def _read(self, call: Call, raw: Raw, shape: TypeAdapter[T]) -> T:
        kind = raw.headers.get("content-type", "nothing").partition(";")[0].strip().lower()
        if raw.status != httpx.codes.OK:
            raise AgentsUnavailable.of(call.operation, f"{raw.status} {_refusal(raw)}".rstrip())
        if kind != "application/json":
            raise AgentsUnavailable.of(call.operation, f"{kind} in place of JSON")
        try:
            return shape.validate_json(raw.content)
        except ValidationError as error:
            raise AgentsUnavailable.of(call.operation, _faults(error)) from error


def _refusal(raw: Raw) -> str:
    """The daemon's refusal, in its own words if it has any."""
    try:
        said = wire.REFUSAL.validate_json(raw.content).description
    except ValidationError:
        said = httpx.codes.get_reason_phrase(raw.status)
    return " ".join(said.split())[:SAID_AT_MOST]


def _faults(error: ValidationError) -> str:
    faults: list[Any] = error.errors(include_url=False, include_input=False, include_context=False)
    if faults[0]["type"] == "json_invalid":
        return "no JSON"
    return f"JSON of another shape: {', '.join(pointer(each['loc']) or '/' for each in faults[:5])}"
