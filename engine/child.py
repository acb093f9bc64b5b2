"""A process that we start: what it is told, what it says line by line, how it ended."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Self, cast

from typing_extensions import override

from engine.config import environment
from engine.errors import EngineError

Say = Callable[[str, str], None]
PROGRAM: Final = (sys.executable, "-P", "-m", "engine")  # -P: not what lies where the user stands
READY_S: Final = 60.0
STOP_S: Final = 15.0
DRAIN_S: Final = 0.5
STDOUT: Final = 1
UNEXPECTED: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What a process is started with; ``ready`` matches its ready line, if it has one."""

    name: str
    words: tuple[str, ...]
    ready: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)


class Failed(EngineError):
    """A process is not there as it should be; ``exit_code`` is negative for a signal."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Child(asyncio.SubprocessProtocol):
    """One life of a part. All that it says goes to ``say`` under its name, a line at a time.

    It has a session of its own, so that Ctrl-C at the terminal reaches us alone; it ends with us.
    """

    _handle: asyncio.SubprocessTransport

    def __init__(self, part: Part, say: Say) -> None:
        self._part = part
        self._say = say
        self._rest = {1: b"", 2: b""}
        self._ready: re.Match[str] | None = None
        self._ready_at = 0.0
        self._settled = asyncio.Event()  # ready, or ended
        self._ended = asyncio.Event()
        self._silent = asyncio.Event()  # ended, and nobody holds its pipes any more

    @classmethod
    async def start(cls, part: Part, say: Say) -> Self:
        """The process has been started."""
        _, child = await asyncio.get_running_loop().subprocess_exec(
            lambda: cls(part, say),
            *PROGRAM,
            *part.words,
            *("--owner", str(os.getpid())),
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,
            env=environment(part.env),
        )
        return child

    async def readiness(self) -> re.Match[str]:
        """Its ready line. Raises Failed when it ends first, or takes longer than ``READY_S``."""
        await _within(READY_S, self._settled)
        if self._ready is not None:
            return self._ready
        if self._ended.is_set():
            raise await self._failure()
        raise Failed(f"{self._part.name} was not ready within {READY_S:g} s", UNEXPECTED)

    async def success(self) -> None:
        """It has done its work and ended. Raises Failed."""
        if await self.end():
            raise await self._failure()

    async def end(self) -> int:
        """How it ended, once all that it said has been passed on."""
        await self._ended.wait()
        await _within(DRAIN_S, self._silent)  # a process of its own may hold its pipes for longer
        self._handle.close()
        return cast("int", self._handle.get_returncode())

    async def stop(self) -> None:
        """It has ended: it was asked to, and killed if that took longer than ``STOP_S``."""
        with suppress(ProcessLookupError):
            self._handle.terminate()
        try:
            await _within(STOP_S, self._ended)
        finally:  # cancelled or not
            if not self._ended.is_set():
                self._say(self._part.name, "is killed, it did not end in time")
                os.killpg(self._handle.get_pid(), signal.SIGKILL)
        await self.end()

    def stays_ready(self, seconds: float) -> bool:
        """Whether it was ready for as long as that."""
        now = asyncio.get_running_loop().time()
        return self._ready is not None and now - self._ready_at >= seconds

    async def _failure(self) -> Failed:
        code = await self.end()
        return Failed(f"{self._part.name} ended with {code} before it was ready", code)

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._handle = cast("asyncio.SubprocessTransport", transport)

    @override
    def pipe_data_received(self, fd: int, data: bytes) -> None:
        *lines, self._rest[fd] = (self._rest[fd] + data).split(b"\n")
        for line in lines:
            self._read_line(fd, line.decode(errors="replace"))

    @override
    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if self._rest.get(fd):
            self._read_line(fd, self._rest.pop(fd).decode(errors="replace"))

    @override
    def process_exited(self) -> None:
        self._ended.set()
        self._settled.set()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._silent.set()

    def _read_line(self, fd: int, line: str) -> None:
        self._say(self._part.name, line)
        if fd == STDOUT and self._ready is None and self._part.ready is not None:
            self._ready = re.fullmatch(self._part.ready, line)
            if self._ready is not None:
                self._ready_at = asyncio.get_running_loop().time()
                self._settled.set()


async def _within(seconds: float, event: asyncio.Event) -> None:
    """Return when ``event`` is set, or when the time is over."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
