"""The whole engine in the foreground: its processes in order, begun again when they end."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from re import Match
from typing import Any, Final, Never

from engine.child import UNEXPECTED, Child, Failed, Part
from engine.listener import open_listener

PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 5.0
STEADY_S: Final = 5.0  # a process that was ready for so long has not died "again"
EXPLAINED: Final = frozenset({2, 3, UNEXPECTED, 5})  # a command that ended with these said why


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What shall run; ``data`` is where the embedded Postgres is, None when SPEC11_DSN says."""

    data: Path | None
    host: str
    port: int
    workers: int

    def part(self, name: str, *words: str, ready: str | None = None, **env: str) -> Part:
        """The process ``spec11-engine WORDS``, on the database that is meant."""
        where = () if self.data is None else ("--data-dir", str(self.data))
        return Part(name=name, words=(*words, *where), ready=ready, env=env)

    def below(self) -> list[Part]:
        """What has to be there first."""
        ready = r"postgres ready .*"
        return [] if self.data is None else [self.part("postgres", "db", "serve", ready=ready)]

    def api(self) -> Part:
        """What answers HTTP."""
        ready = r"listening on (?P<url>http://.+:(?P<port>\d+))"
        return self.part("api", "api", ready=ready, PORT=str(self.port))

    def executors(self) -> list[Part]:
        """What executes runs, each under an id of its own that it keeps."""
        ids = [f"w{number}" for number in range(self.workers)]
        return [self.part(i, "worker", ready=f"worker {i} ready", DBOS__VMID=i) for i in ids]


class Slot:
    """A place for one process: when it ends another takes its place, after a pause that grows."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self._first_ready: asyncio.Future[Match[str]] = asyncio.get_running_loop().create_future()
        self.life = asyncio.create_task(self._live())

    async def readiness(self) -> Match[str]:
        """The ready line of the first process. Raises Failed."""
        either: tuple[asyncio.Future[Any], ...] = (self.life, self._first_ready)
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        return self._first_ready.result() if self._first_ready.done() else self.life.result()

    async def _live(self) -> Never:
        pause_s = PAUSE_S
        while True:
            child = await Child.start(self.part, _say)
            try:
                if not self._first_ready.done():
                    self._first_ready.set_result(await child.readiness())
                code = await child.end()
            finally:
                await child.stop()
            if child.stays_ready(STEADY_S):
                pause_s = PAUSE_S
            _say("up", f"{self.part.name} ended with {code} and begins again in {pause_s:g} s")
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def serve(plan: Plan) -> int:
    """0 after SIGINT or SIGTERM; else the exit status of the process that could not start.

    Nothing that was started is left. Raises Failed when a process ended without a word.
    """
    return asyncio.run(_until_asked(plan))


async def _until_asked(plan: Plan) -> int:
    running = asyncio.create_task(_run(plan))
    for signum in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signum, _ask, running)
    try:
        await running
    except asyncio.CancelledError:
        return 0
    except Failed as error:
        if error.exit_code not in EXPLAINED:
            raise
        return error.exit_code


def _ask(running: asyncio.Task[Never]) -> None:
    """End, in order. Asking again must not cut that short; it is bounded as it is."""
    if not running.cancelling():
        _say("up", "stops")
        running.cancel()


async def _run(plan: Plan) -> Never:
    open_listener(plan.host, plan.port).close()  # a taken port is found before a database is made
    if plan.data is not None:
        _say("up", f"starts; Postgres keeps its data in {plan.data}")
    async with _keep_running(plan.below()) as below:
        await _migrate_database(plan)
        async with _keep_running([plan.api(), *plan.executors()]) as serving:
            api = serving[0]
            listening = await api.readiness()
            api.part = replace(api.part, env={"PORT": listening["port"]})  # also of its next life
            sys.stdout.write(f"ready {listening['url']}\n")
            sys.stdout.flush()
            lives = {slot.life for slot in (*below, *serving)}
            broken, _ = await asyncio.wait(lives, return_when=asyncio.FIRST_COMPLETED)
            broken.pop().result()  # raises: a life has no other end


@asynccontextmanager
async def _keep_running(parts: Sequence[Part]) -> AsyncIterator[list[Slot]]:
    """All of ``parts`` are ready, and are kept running until this is left. Raises Failed."""
    slots = [Slot(part) for part in parts]
    try:
        for slot in slots:
            await slot.readiness()
        yield slots
    finally:
        for slot in slots:
            slot.life.cancel()
        await asyncio.gather(*(slot.life for slot in slots), return_exceptions=True)


async def _migrate_database(plan: Plan) -> None:
    """The database exists and has the newest schema. Raises Failed."""
    child = await Child.start(plan.part("database", "db", "migrate"), _say)
    try:
        await child.success()
    finally:
        await child.stop()


def _say(name: str, line: str) -> None:
    with suppress(OSError):  # whoever read this left; that is no reason to stop serving
        sys.stderr.write(f"{name:<8} | {line}\n")
        sys.stderr.flush()
