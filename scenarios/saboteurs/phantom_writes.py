"""Requests that write what they should not, and answers that go to another gate."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from typing_extensions import override

from pytest_spec11.oracles.sql import Admin
from pytest_spec11.saboteurs.http import HttpSaboteur
from pytest_spec11.saboteurs.proxy import Exchange
from pytest_spec11.saboteurs.wire import Reply
from scenarios.saboteurs.false_replies import REFUSED, parse_body

INTENT = """
INSERT INTO app.intents (id, intent_hash, goal, json, recipe_id, recipe_v, recipe_hash)
SELECT 'ih_' || h, h, 'ghost', '{}', 'ghost', 'v1', h
FROM (SELECT encode(sha256(gen_random_uuid()::text::bytea), 'hex') AS h) AS made
"""
TOUCH = "UPDATE app.recipes SET name = name WHERE id = 'compile-default'"
MESSAGE = """
INSERT INTO dbos.notifications (destination_uuid, topic, message)
SELECT workflow_uuid, 'ghost', '"ghost"' FROM dbos.workflow_status ORDER BY created_at LIMIT 1
"""
RUN = """
INSERT INTO app.runs
SELECT (jsonb_populate_record(r, jsonb_build_object(
    'id', 'ghost ' || u, 'workflow_id', 'ghost ' || u, 'execution_id', 'ghost ' || u))).*
FROM app.runs r, (SELECT gen_random_uuid()::text AS u) AS made LIMIT 1
"""  # one statement
SIBLING = """
SELECT workflow_id, gate_key FROM app.human_gates g
WHERE state = 'PENDING' AND gate_key <> %(gate)s AND (
    run_id = (SELECT id FROM app.runs WHERE workflow_id = %(wid)s)
    OR run_id = (SELECT s.id FROM app.runs f JOIN app.runs s ON s.workflow_id = f.forked_from
                 OR s.id = f.forked_from WHERE f.workflow_id = %(wid)s))
ORDER BY created_at LIMIT 1
"""


class Haunting(HttpSaboteur):
    """A fault that knows the database behind an address."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._dsns: dict[str, str] = {}

    @override
    def plant_in_database(self, dsn: str) -> None:
        self._dsns[_database(dsn)] = dsn

    async def run(self, exchange: Exchange, statement: str, **params: Any) -> list[dict[str, Any]]:
        """The rows of the statement, run as superuser where the request goes."""
        dsn = self._dsns[_database(exchange.target.app_dsn)]
        return await asyncio.to_thread(Admin(dsn, _unseen).execute, statement, **params)


class GhostWrite(Haunting):
    """A refusal or a replay writes all the same: a row, an update to equal values, a message."""

    @override
    async def answer(self, exchange: Exchange) -> Reply:
        reply = await exchange.forward()
        if _is_refusal(reply) or _is_replay(reply):
            await self.run(exchange, (INTENT, TOUCH, MESSAGE)[self.count_hits() % 3])
            self.hit()
        return reply


class GetWrites(Haunting):
    """A phantom of a run for every GET."""

    where = re.compile("^GET ")

    @override
    async def answer(self, exchange: Exchange) -> Reply:
        await self.run(exchange, RUN)
        self.hit()
        return await exchange.forward()


class RedirectReply(Haunting):
    """An answer goes to the gate beside, or to the run that the fork was made of."""

    where = re.compile(r"^POST /api/runs/[^/]+/gates/[^/]+/reply")

    @override
    async def answer(self, exchange: Exchange) -> Reply:
        _, _, _, wid, _, gate, _ = exchange.path.split("/")
        found = await self.run(exchange, SIBLING, wid=wid, gate=gate)
        if not found:
            return await exchange.forward()
        self.hit()
        other = f"/api/runs/{found[0]['workflow_id']}/gates/{found[0]['gate_key']}/reply"
        return await exchange.forward(path=other)


def _is_refusal(reply: Reply) -> bool:
    return reply.status >= REFUSED


def _is_replay(reply: Reply) -> bool:
    body = parse_body(reply)
    return isinstance(body, dict) and body.get("isReplay") is True


def _database(dsn: str) -> str:
    return str(re.findall(r"dbname=(\S+)", dsn)[-1])


def _unseen(*_: object, **__: object) -> None:
    """A saboteur's statements are no observation."""
