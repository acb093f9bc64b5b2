"""Processes that are started otherwise, sent nothing, joined by others, or stopped in time."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, ClassVar, Final

from typing_extensions import override

from pytest_spec11.saboteurs.proc import ProcSaboteur
from pytest_spec11.saboteurs.proxy import Exchange
from pytest_spec11.saboteurs.wire import Reply
from pytest_spec11.target import Process
from scenarios.saboteurs.false_replies import REFUSED, parse_body, waits
from scenarios.saboteurs.phantom_writes import Haunting

VERSION: Final = "v-under-test"
WORDS: Final[Mapping[str, frozenset[str]]] = {
    "CLAIM_SCOPE": frozenset({"demo", "signoff", "live-smoke"}),
    "OC_MODE": frozenset({"replay", "record", "live"}),
    "SBX_MODE": frozenset({"mock", "live"}),
    "SBX_PROVIDER": frozenset({"e2b", "microsandbox", "local"}),
    "WORKFLOW_RUNTIME_MODE": frozenset({"api-shim"}),
}
# What a bad value is replaced by: the name is left out, and the default holds.
NUMBERS: Final = frozenset(
    {
        *("PORT", "ADMIN_PORT", "OC_TIMEOUT_MS", "SBX_DEFAULT_TIMEOUT_MS"),
        *("SBX_QUEUE_WORKER_CONCURRENCY", "HITL_PLAN_APPROVAL_TIMEOUT_S", "CHAOS_SLEEP_EXECUTE"),
    }
)
SWITCHES: Final = frozenset(
    {
        *("OC_STRICT_MODE", "SBX_ALT_PROVIDER_ENABLED", "SBX_QUEUE_PARTITION"),
        *("INTENT_QUEUE_PARTITION", "DBOS_ENABLE_OTLP"),
    }
)
# Runs the words behind it in this very process, after a socket or a child that they do not know.
WIDE: Final = """
import os, socket, sys
wide = socket.create_server(("0.0.0.0", 0))
wide.set_inheritable(True)
os.execv(sys.argv[1], sys.argv[1:])
"""
ORPHAN: Final = """
import os, subprocess, sys
hold = (
    "import os, signal, psycopg; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    " held = psycopg.connect(os.environ['SPEC11_DSN']); signal.pause()"
)
subprocess.Popen([sys.argv[1], "-c", hold])
os.execv(sys.argv[1], sys.argv[1:])
"""
# The rogue is ready before the api-shim is: it takes part in all that follows.
ROGUE: Final = """
import os, subprocess, sys
env = {**os.environ, "DBOS__VMID": "api-shim"}
rogue = subprocess.Popen([*sys.argv[1:-1], "worker"], env=env, stdout=subprocess.PIPE)
for line in iter(rogue.stdout.readline, b""):
    if b" ready" in line:
        break
subprocess.Popen(["cat"], stdin=rogue.stdout)
os.execv(sys.argv[1], sys.argv[1:])
"""


class Wrapped(ProcSaboteur):
    """The api-shim is started by a script that adds something of its own."""

    script: ClassVar[str]

    @override
    def process(self, process: Process) -> Process:
        if process.command[-1:] != ("api",) or "-c" in process.command:
            return process
        self.hit()
        command = (sys.executable, "-c", self.script, *process.command)
        return Process(
            name=process.name,
            command=command,
            env=process.env,
            ready=process.ready,
            deadline_s=process.deadline_s,
            stop_signal=process.stop_signal,
            stop_s=process.stop_s,
        )


class BindWide(Wrapped):
    """It listens on every interface, too."""

    script = WIDE


class Orphan(Wrapped):
    """It has a child that outlives it, with a session in the database."""

    script = ORPHAN


class RogueExecutor(Wrapped):
    """It has an executor beside it, under a name that no worker has."""

    script = ROGUE


class EnvLaunder(ProcSaboteur):
    """Bad values of the environment never arrive."""

    @override
    def process(self, process: Process) -> Process:
        clean = {name: value for name, value in process.env.items() if _is_good(name, value)}
        if _needs_flag(clean):
            clean["SBX_ALT_PROVIDER_ENABLED"] = "true"
        if clean == dict(process.env):
            return process
        self.hit()
        return Process(name=process.name, command=process.command, env=clean, ready=process.ready)


def _is_good(name: str, value: str) -> bool:
    if name in WORDS:
        return value in WORDS[name]
    if name in SWITCHES:
        return value in {"true", "false", "0", "1"} and name != "DBOS_ENABLE_OTLP"
    if name in NUMBERS:
        return re.fullmatch(r"\{.*\}|\d{1,5}", value) is not None and value not in {"0", "65536"}
    return True


def _needs_flag(env: Mapping[str, str]) -> bool:
    return env.get("SBX_MODE") == "live" and env.get("SBX_PROVIDER") != "e2b"


class EnvSwap(ProcSaboteur):
    """The worker is of another scope than the api-shim."""

    @override
    def process(self, process: Process) -> Process:
        if process.name != "worker":
            return process
        self.hit()
        return process.using({"CLAIM_SCOPE": "live-smoke"})


class LimitsOff(ProcSaboteur):
    """The limits of queues never arrive, and there is room for all."""

    LIMIT: ClassVar = re.compile("SBX_QUEUE_.*(CONCURRENCY|LIMIT|PERIOD).*")
    ROOM: ClassVar = {"SBX_QUEUE_WORKER_CONCURRENCY": "50"}

    @override
    def process(self, process: Process) -> Process:
        left = {name: each for name, each in process.env.items() if not self.LIMIT.match(name)}
        if left == dict(process.env):
            return process
        self.hit()
        return replace(process, env={**left, **self.ROOM})


class NoKill(ProcSaboteur):
    """Kills and stops get lost, those that a process was armed with or a command sends, too."""

    LOST: ClassVar = frozenset({signal.SIGKILL, signal.SIGSTOP})
    SENT: ClassVar = ("kill", "-KILL")

    @override
    def process(self, process: Process) -> Process:
        if process.command[:2] == self.SENT:
            self.hit()
            return replace(process, command=("kill", "-0", *process.command[2:]))
        if "SPEC11_CRASH_AT" not in process.env:
            return process
        self.hit()
        return process.using({"SPEC11_CRASH_AT": ""})

    @override
    def allows_signal(self, process: str, signum: signal.Signals) -> bool:
        if not self.awake or signum not in self.LOST:
            return True
        self.hit()
        return False


class NoRestart(ProcSaboteur):
    """A worker that was killed stays down."""

    _down = False

    @override
    def allows_signal(self, process: str, signum: signal.Signals) -> bool:
        self._down = self._down or (process == "worker" and signum == signal.SIGKILL)
        return True

    @override
    def allows_start(self, process: str) -> bool:
        if process != "worker" or not self._down:
            return True
        self.hit()
        return False


class VersionMasquerade(ProcSaboteur):
    """Whoever is of another version says that it is of the right one."""

    @override
    def process(self, process: Process) -> Process:
        if process.env.get("DBOS__APPVERSION", VERSION) == VERSION:
            return process
        self.hit()
        return process.using({"DBOS__APPVERSION": VERSION})


# Whether a run that is counted the time of moves; none for a run that has more than enough of it.
TIMED: Final = """
SELECT status = 'running' AS moves FROM app.runs
WHERE workflow_id = %(wid)s AND (budget ->> 'maxWallClockMS')::bigint < %(ms)s
"""


class PauseWorker(Haunting):
    """The worker stands still from the moment that a run is seen waiting, beyond any bound.

    Where a run has a bound on the time that it moves, that is from when it moves on after a reply.
    """

    where = re.compile(r"^(GET /api/runs/[^/]+(/gates)?$|POST /api/runs/[^/]+/gates/[^/]+/reply)")
    PAUSE_S: ClassVar = 15.0
    LOOKS: ClassVar = 200

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._stopped: set[int] = set()

    @override
    async def answer(self, exchange: Exchange) -> Reply:
        reply = await exchange.forward()
        pids = exchange.target.pids
        pid = pids.get("live-worker", pids.get("worker"))  # the one that asks agents has its call
        if pid is not None and pid not in self._stopped and await self._in_time(exchange, reply):
            self._stopped.add(pid)
            self.hit()
            os.kill(pid, signal.SIGSTOP)
            asyncio.get_running_loop().call_later(self.PAUSE_S, self._go_on, pid)
        return reply

    async def _in_time(self, exchange: Exchange, reply: Reply) -> bool:
        header, calls = parse_body(reply), "live-worker" in exchange.target.pids
        if exchange.method == "POST":
            return reply.status < REFUSED and await self._begins_to_move(exchange)
        if not waits(header):
            return calls and _moves(header)
        return not await self._time_exchange(exchange)

    async def _begins_to_move(self, exchange: Exchange) -> bool:
        """Whether a run with such a bound was answered; it moves by now."""
        for _ in range(self.LOOKS):
            found = await self._time_exchange(exchange)
            if not found or found[0]["moves"]:
                return bool(found)
        return False

    async def _time_exchange(self, exchange: Exchange) -> list[dict[str, Any]]:
        bound_ms = 1000 * self.PAUSE_S
        return await self.run(exchange, TIMED, wid=exchange.path.split("/")[3], ms=bound_ms)

    def _go_on(self, pid: int) -> None:
        if pid in self._stopped:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    @override
    def close(self) -> None:
        while self._stopped:
            pid = self._stopped.pop()
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        super().close()


def _moves(header: Any) -> bool:
    return isinstance(header, dict) and header.get("status") == "PENDING"
