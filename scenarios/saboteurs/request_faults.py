"""Lies on the way in: requests that are changed, doubled, sent elsewhere or not at all."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from typing import Any, ClassVar

from typing_extensions import override

from pytest_spec11.saboteurs.http import HttpSaboteur
from pytest_spec11.saboteurs.proxy import Exchange
from pytest_spec11.saboteurs.wire import Head, Reply
from pytest_spec11.target import Process
from scenarios.saboteurs.false_replies import REFUSED
from scenarios.saboteurs.phantom_writes import Haunting

Accepted = tuple[int, dict[str, Any]]
JSON_HEAD = Head("", ("content-type: application/json",))


class DoubleDeliver(HttpSaboteur):
    """What was accepted arrives a second time."""

    where = re.compile(r"^POST /api/ops/wf/")

    @override
    async def answer(self, exchange: Exchange) -> Reply:
        body = await exchange.body()
        reply = await exchange.forward(body)
        if reply.status < REFUSED:
            self.hit()
            await exchange.forward(body)
        return reply


GATE = """
SELECT count(*) AS n FROM app.human_gates
WHERE gate_key = %(gate)s AND %(run)s IN (run_id, workflow_id)
"""
REPAIR = """
SELECT r.id, r.workflow_id, r.retry_count + 1 AS number,
       (ARRAY['CompileST', 'ApplyPatchST', 'DecideST', 'ExecuteST'])[
           1 + (SELECT count(DISTINCT step_id) FROM app.run_steps s WHERE s.run_id = r.id
                AND step_id LIKE '%%ST')] AS step
FROM app.runs r WHERE r.workflow_id = %(run)s AND r.status IN ('failed', 'retries_exceeded')
"""


class SwallowPost(Haunting):
    """What would be accepted is accepted in the same words, and never delivered."""

    where = re.compile(r"^POST /api/(events/hitl|ops/wf/[^/]+/(cancel|resume)|runs/[^/]+/retry)")

    @override
    async def answer(self, exchange: Exchange) -> Reply:
        body = json.loads(await exchange.body() or b"{}")
        if exchange.path == "/api/events/hitl":
            accepted = await self._event(exchange, body)
        elif exchange.path.endswith("/retry"):
            accepted = await self._repair(exchange, exchange.path.split("/")[3])
        else:
            accepted = (202, {"accepted": True, "workflowID": exchange.path.split("/")[4]})
        if accepted is None:
            return await exchange.forward()
        self.hit()
        return Reply(accepted[0], JSON_HEAD, json.dumps(accepted[1]).encode())

    async def _event(self, exchange: Exchange, body: dict[str, Any]) -> Accepted | None:
        run = body.get("workflowId") or body.get("runId")
        (row,) = await self.run(exchange, GATE, gate=body.get("gateKey"), run=run)
        return (200, {"ok": True, "isReplay": False}) if row["n"] else None

    async def _repair(self, exchange: Exchange, wid: str) -> Accepted | None:
        for row in await self.run(exchange, REPAIR, run=wid):
            return 202, {
                "accepted": True,
                "workflowID": row["workflow_id"],
                "newRunId": row["id"],
                "executionID": f"rep:{row['workflow_id']}:{row['number']}",
                "fromStep": row["step"],
            }
        return None


class RewriteBody(HttpSaboteur):
    """Another answer, another origin, another budget than was sent."""

    where = re.compile(r"^POST /api/(run$|events/hitl|runs/[^/]+/gates/[^/]+/reply)")
    CHOICES: ClassVar = {"yes": "no", "no": "yes"}
    ORIGINS: ClassVar = {"manual": "external"}
    _cost = False

    @override
    async def answer(self, exchange: Exchange) -> Reply:
        try:
            body = json.loads(await exchange.body())
        except ValueError:
            return await exchange.forward()
        if not isinstance(body, dict) or (changed := self._change_body(body)) == body:
            return await exchange.forward()
        self.hit()
        return await exchange.forward(json.dumps(changed).encode())

    def _change_body(self, body: dict[str, Any]) -> dict[str, Any]:
        made = json.loads(json.dumps(body))
        budget = (made.get("opts") or {}).get("budget")
        if isinstance(budget, dict):
            self._cost = True
            made["opts"]["budget"] = {name: _beside(value) for name, value in budget.items()}
        if self._cost:  # what it costs is at stake, not what is answered
            return dict(made)
        if isinstance(payload := made.get("payload"), dict) and "choice" in payload:
            payload["choice"] = self.CHOICES.get(str(payload["choice"]), payload["choice"])
        if isinstance(origin := made.get("origin"), str):
            made["origin"] = self.ORIGINS.get(origin, "manual")
        return dict(made)


def _beside(limit: Any) -> Any:
    """A limit that is one less, or one more where one less would be none."""
    if not isinstance(limit, int):
        return limit
    return limit - 1 if limit > 1 else limit + 1


class TokenInject(HttpSaboteur):
    """Everybody is the operator."""

    _token = ""

    @override
    def process(self, process: Process) -> Process:
        self._token = process.env.get("SPEC11_API_TOKEN", self._token)
        return process

    @override
    async def answer(self, exchange: Exchange) -> Reply:
        if self._token:
            self.hit()
            key = self._token.split(",")[0]
            exchange.head = exchange.head.using("authorization", f"Bearer {key}")
        return await exchange.forward()


class Resign(HttpSaboteur):
    """An event that was changed and bears a good signature all the same."""

    where = re.compile(r"^POST /api/events/hitl")
    _secret = ""

    @override
    def process(self, process: Process) -> Process:
        self._secret = process.env.get("SPEC11_WEBHOOK_SECRET", self._secret)
        return process

    @override
    async def answer(self, exchange: Exchange) -> Reply:
        body = await exchange.body() + b" "
        signed = exchange.head.value("x-spec11-signature")
        stamp = re.search(r"t=(\d+)", signed)
        if not self._secret or stamp is None:
            return await exchange.forward()
        key = self._secret.split(",")[0].encode()
        mac = hmac.new(key, stamp[1].encode() + b"." + body, hashlib.sha256).hexdigest()
        exchange.head = exchange.head.using("x-spec11-signature", f"t={stamp[1]},v1={mac}")
        self.hit()
        return await exchange.forward(body)
