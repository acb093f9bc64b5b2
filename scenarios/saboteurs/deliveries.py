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
from scenarios.saboteurs.lies import REFUSED

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


class SwallowPost(HttpSaboteur):
    """Accepted, and never delivered."""

    where = re.compile(r"^POST /api/(events/hitl|ops/wf/[^/]+/(cancel|resume)|runs/[^/]+/retry)")

    @override
    async def answer(self, exchange: Exchange) -> Reply:
        body = json.loads(await exchange.body() or b"{}")
        self.hit()
        if exchange.path == "/api/events/hitl":
            return Reply(200, JSON_HEAD, b'{"ok":true,"isReplay":false}')
        wid = exchange.path.split("/")[3 if exchange.path.endswith("retry") else 4]
        accepted = {
            "accepted": True,
            "workflowID": body.get("workflowId", wid),
            "newRunId": f"rep:{wid}:1",
            "executionID": f"rep:{wid}:1",
            "fromStep": "CompileST",
        }
        return Reply(202, JSON_HEAD, json.dumps(accepted).encode())


class RewriteBody(HttpSaboteur):
    """Another answer, another origin, another budget than was sent."""

    where = re.compile(r"^POST /api/(run$|events/hitl|runs/[^/]+/gates/[^/]+/reply)")
    CHOICES: ClassVar = {"yes": "no", "no": "yes"}
    ORIGINS: ClassVar = {"manual": "external"}

    @override
    async def answer(self, exchange: Exchange) -> Reply:
        try:
            body = json.loads(await exchange.body())
        except ValueError:
            return await exchange.forward()
        if not isinstance(body, dict) or (changed := self._changed(body)) == body:
            return await exchange.forward()
        self.hit()
        return await exchange.forward(json.dumps(changed).encode())

    def _changed(self, body: dict[str, Any]) -> dict[str, Any]:
        made = json.loads(json.dumps(body))
        if isinstance(payload := made.get("payload"), dict) and "choice" in payload:
            payload["choice"] = self.CHOICES.get(str(payload["choice"]), payload["choice"])
        if isinstance(origin := made.get("origin"), str):
            made["origin"] = self.ORIGINS.get(origin, "manual")
        budget = (made.get("opts") or {}).get("budget")
        if isinstance(budget, dict):
            made["opts"]["budget"] = {
                name: value + 1 if isinstance(value, int) else value
                for name, value in budget.items()
            }
        return dict(made)


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
