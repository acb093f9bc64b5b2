"""Lies about what the API said: status words, bodies, rows of lists."""

from __future__ import annotations

import asyncio
import json
import re
import time
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from typing_extensions import override

from pytest_spec11.saboteurs.http import HttpSaboteur
from pytest_spec11.saboteurs.proxy import Exchange
from pytest_spec11.saboteurs.wire import Reply

REFUSED = 400
MISSING = 404
CREATED, ACCEPTED, BROKEN = 201, 202, 500
FALSE_ID = "ih_" + "0" * 64


def parse_body(reply: Reply) -> Any:
    """The body as JSON; None when it is none."""
    try:
        return json.loads(reply.body)
    except ValueError:
        return None


def waits(body: Any) -> bool:
    """Whether a header, or a list of gates, says that somebody is waited for."""
    if isinstance(body, list):
        return any(each.get("state") == "PENDING" for each in body)
    return isinstance(body, dict) and body.get("status") == "WAITING_INPUT"


class Lie(HttpSaboteur):
    """A reply that is changed once it came; override :meth:`told`."""

    @override
    async def answer(self, exchange: Exchange) -> Reply:
        reply = await exchange.forward()
        changed = self.falsify_reply(exchange, reply)
        if changed is None:
            return reply
        self.hit()
        return changed

    def falsify_reply(self, exchange: Exchange, reply: Reply) -> Reply | None:
        """The reply in place of the true one; None for the true one."""
        raise NotImplementedError


class Redone(Lie):
    """A lie about the JSON of a reply that went well; override :meth:`redone`."""

    @override
    def falsify_reply(self, exchange: Exchange, reply: Reply) -> Reply | None:
        before = parse_body(reply) if reply.status < REFUSED else None
        after = None if before is None else self.redone(before)
        if after is None:
            return None
        reply.body = json.dumps(after).encode()
        return reply

    def redone(self, body: Any) -> Any:
        """The JSON in place of the true one; None for the true one."""
        raise NotImplementedError


def _json(status: int, reply: Reply, body: object) -> Reply:
    reply.status = status
    reply.body = json.dumps(body).encode()
    return reply


class RefusalAsOk(Lie):
    """Whatever was refused was welcome: the code says so, and whoever reads on sees the reasons."""

    @override
    def falsify_reply(self, exchange: Exchange, reply: Reply) -> Reply | None:
        if reply.status < REFUSED:
            return None
        why = parse_body(reply)
        welcome = {"ok": True, "isReplay": False, "status": "ENQUEUED"}
        return _json(200, reply, {**welcome, **why} if isinstance(why, dict) else welcome)


class RefusalMute(Lie):
    """A refusal that does not say why."""

    @override
    def falsify_reply(self, exchange: Exchange, reply: Reply) -> Reply | None:
        return _json(reply.status, reply, {"error": ""}) if reply.status >= REFUSED else None


class MissingAsEmpty(Lie):
    """What is not there is there, and empty."""

    @override
    def falsify_reply(self, exchange: Exchange, reply: Reply) -> Reply | None:
        if reply.status != MISSING:
            return None
        as_list = exchange.method == "GET" and self.count_hits() % 2
        return _json(200, reply, [] if as_list else {})


class ErrorAs400(Lie):
    """The server's fault is the client's."""

    @override
    def falsify_reply(self, exchange: Exchange, reply: Reply) -> Reply | None:
        if reply.status != BROKEN:
            return None
        reply.status = REFUSED
        return reply


class CreatedAs202(Lie):
    """What was made is only promised."""

    @override
    def falsify_reply(self, exchange: Exchange, reply: Reply) -> Reply | None:
        if reply.status != CREATED:
            return None
        reply.status = ACCEPTED
        return reply


class Crash500(Lie):
    """The first of every five answers is a traceback."""

    _asked = 0

    @override
    def falsify_reply(self, exchange: Exchange, reply: Reply) -> Reply | None:
        self._asked += 1
        if self._asked % 5 != 1:
            return None
        text = 'Traceback (most recent call last):\n  File "shim.py", line 1, in start\nKeyError'
        return _json(BROKEN, reply, {"error": text})


class ExtraRoute(Lie):
    """A seventh operation on workflows."""

    where = re.compile(r"^POST /api/ops/wf/")

    @override
    def falsify_reply(self, exchange: Exchange, reply: Reply) -> Reply | None:
        if reply.status != MISSING or parse_body(reply) != {"error": "not found"}:
            return None
        return _json(ACCEPTED, reply, {"accepted": True})


class ReplayFlag(Redone):
    """A replay is news, and news is a replay."""

    @override
    def redone(self, body: Any) -> Any:
        if not isinstance(body, dict) or "isReplay" not in body:
            return None
        return {**body, "isReplay": not body["isReplay"]}


class IdSwap(Redone):
    """A start's reply bears the ids of another run: those of the first, or of none."""

    where = re.compile(r"^POST /api/runs?$")
    _first = ""

    @override
    def redone(self, body: Any) -> Any:
        self._first = self._first or body["workflowID"]
        other = FALSE_ID if body["workflowID"] == self._first else self._first
        return {**body, "workflowID": other, "intentHash": other.removeprefix("ih_")}


class NoiseRows(Redone):
    """Each list has a row twice, and one of the engine's own."""

    where = re.compile(r"^GET .*/(steps|inbox|proofs)(\?|$)")

    @override
    def redone(self, body: Any) -> Any:
        if not isinstance(body, list) or not body:
            return None
        noise = {**body[0]}
        for key in ("stepID", "name", "gateKey", "id"):
            if key in noise:
                noise[key] = "DBOS.sleep"
        return [*body, body[0], noise]


class CountLie(Redone):
    """Counts and ages of queues are off by one."""

    where = re.compile(r"^GET /api/ops/(queue-depth|throughput)")

    @override
    def redone(self, body: Any) -> Any:
        return _raise_counts(body)


def _raise_counts(body: Any) -> Any:
    if isinstance(body, list):
        return [_raise_counts(each) for each in body]
    if isinstance(body, dict):
        return {name: _raise_counts(value) for name, value in body.items()}
    return body + 1 if isinstance(body, int) and not isinstance(body, bool) else body


class PackEdit(Redone):
    """One value of a pack, an export or a list of patches is another."""

    where = re.compile(r"^(GET .*/(patches|repro)|POST /api/recipes/export)(\?|$)")
    DIGEST = re.compile("[0-9a-f]{64}")
    TEXT = re.compile(".+", re.DOTALL)  # what has no digest has other texts

    @override
    def redone(self, body: Any) -> Any:
        for kind in (self.DIGEST, self.TEXT):
            edited, done = _edit_text(body, kind)
            if done:
                return edited
        return None


def _edit_text(body: Any, kind: re.Pattern[str]) -> tuple[Any, bool]:
    """The body with the first character of its first text of that kind changed."""
    pairs = list(enumerate(body) if isinstance(body, list) else body.items())
    for key, value in pairs:
        new, done = value, False
        if isinstance(value, (dict, list)):
            new, done = _edit_text(value, kind)
        elif isinstance(value, str) and kind.fullmatch(value):
            new, done = ("1" if value[0] == "0" else "0") + value[1:], True
        if done:
            body[key] = new
            return body, True
    return body, False


class KeyDrop(Redone):
    """Keys that the contract promises are not there."""

    where = re.compile("^GET /api/")
    KEYS = frozenset({"retryCount", "phase", "functionId", "parentEvents", "servedBy", "posture"})

    @override
    def redone(self, body: Any) -> Any:
        left = self._without(body)
        return None if left == body else left

    def _without(self, body: Any) -> Any:
        if isinstance(body, list):
            return [self._without(each) for each in body]
        if isinstance(body, dict):
            return {
                key: self._without(value) for key, value in body.items() if key not in self.KEYS
            }
        return body


class Whitewash(Redone):
    """What failed passed, a NO_GO is a GO, and nobody says why not."""

    where = re.compile(r"^GET /api/(runs/[^/]+/proofs|ops/signoff)")
    BETTER: ClassVar = {"FAIL": "PASS", "NO_GO": "GO"}
    SILENT: ClassVar[dict[str, object]] = {"reason": "", "reasons": []}

    @override
    def redone(self, body: Any) -> Any:
        white = self._white(body)
        return None if white == body else white

    def _white(self, body: Any) -> Any:
        if isinstance(body, list):
            return [self._white(each) for each in body]
        if not isinstance(body, dict):
            return body
        white = {key: self._white(value) for key, value in body.items()}
        if white.get("verdict") in self.BETTER:
            white["verdict"] = self.BETTER[white["verdict"]]
            white |= {key: none for key, none in self.SILENT.items() if key in white}
        return white


class PostureLie(Redone):
    """Version, scope and modes are not what the processes were told."""

    where = re.compile(r"^GET /(healthz|api/runs/[^/]+$|api/ops/signoff)")
    WORDS = ("appVersion", "claimScope", "ocMode", "sbxMode", "runtimeMode", "topology")

    @override
    def redone(self, body: Any) -> Any:
        if not any(word in body for word in self.WORDS):
            return None
        return {key: "elsewhere" if key in self.WORDS else value for key, value in body.items()}


class StatusRegress(Redone):
    """One earlier status word is told after a later one."""

    where = re.compile(r"^GET /api/runs/[^/]+$")

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._seen: dict[str, list[str]] = {}

    @override
    def redone(self, body: Any) -> Any:
        seen = self._seen.setdefault(body["workflowID"], [])
        word = body["status"]
        if not seen or seen[-1] != word:
            seen.append(word)
            return None
        earlier = seen[-2] if len(seen) > 1 else "ENQUEUED"
        return None if earlier == word else {**body, "status": earlier}


class Shuffle(Redone):
    """Equal reads differ in order, and bear the time of the reading."""

    where = re.compile(r"^GET /api/(ops/wf(\?|$)|recipes|runs/[^/]+/proofs)")

    @override
    def redone(self, body: Any) -> Any:
        if not isinstance(body, list) or len(body) < 2:
            return None
        stamped = [{**each, "createdAt": time.time_ns() // 1_000_000} for each in body]
        return [*stamped[1:], stamped[0]]


class SlowPoll(HttpSaboteur):
    """A long poll lasts as long as it may."""

    where = re.compile(r"^GET /api/runs/[^/]+/gates/[^?]+\?timeoutS=")

    @override
    async def answer(self, exchange: Exchange) -> Reply:
        began = time.monotonic()
        reply = await exchange.forward()
        wished = float(parse_qs(urlsplit(exchange.path).query)["timeoutS"][0])
        left = wished - (time.monotonic() - began)
        if left > 0:
            self.hit()
            await asyncio.sleep(left)
        return reply
