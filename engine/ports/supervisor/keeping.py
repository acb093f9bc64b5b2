"""One command from its beginning to the end of the last of its processes.

The owner writes one line of JSON (what to run, and the bounds) and reads one back. While it holds
our standard input the command may run; when it lets go, or dies, everything ends.
"""

from __future__ import annotations

import json
import os
import resource
import selectors
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from engine.ports.supervisor import cage, kernel, kin
from engine.ports.supervisor.cage import Cage, Limits
from engine.ports.supervisor.kin import Census
from engine.ports.supervisor.room import Room
from engine.ports.supervisor.streams import Stream

LOOK_S: Final = 0.05
CHUNK: Final = 65536
OWNER: Final = 0
STANDARD: Final = 2  # the last of the three streams
FAILED: Final = 127
EXITED: Final = "exited"
TIMEOUT: Final = "timeout"
CPU: Final = "cpu"
MEMORY: Final = "memory"
PROCESSES: Final = "processes"
LEFT: Final = "left"  # by the owner


class Command:
    """A command under way: its pipes, what they said, the most memory that it ever used."""

    def __init__(self, within: Cage, words: list[str], extra: Mapping[str, str]) -> None:
        self.begun = time.monotonic()
        self.streams = {"stdout": Stream(), "stderr": Stream()}
        self.status: int | None = None
        self.census = Census(0, 0, 0.0)
        self.peak = 0
        self._limits = within.limits
        self._next_look = 0.0
        self._selector = selectors.DefaultSelector()
        pipes = {name: os.pipe() for name in (*self.streams, "trouble")}
        self._pid = os.fork()
        if self._pid == 0:
            _become_command(within, words, extra, {name: end for name, (_, end) in pipes.items()})
        for _, end in pipes.values():
            os.close(end)
        if trouble := _all_of(pipes["trouble"][0]):
            raise OSError(trouble.decode())
        for name in self.streams:
            os.set_blocking(pipes[name][0], False)
            self._selector.register(pipes[name][0], selectors.EVENT_READ, name)
        self._selector.register(OWNER, selectors.EVENT_READ, LEFT)

    def watch(self) -> str:
        """Why it is over."""
        while True:
            if LEFT in self._read_streams(LOOK_S):
                return LEFT
            self._record_exits(kin.reap_children())
            if self.status is not None:
                return EXITED
            if why := self._excess():
                return why

    def finish(self, uid: int | None) -> None:
        """None of it is left, and all that it said is taken."""
        self._record_exits(kin.end(uid))
        self._selector.unregister(OWNER)
        while self._read_streams(0.0):
            pass
        reaped = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.census = kin.census()
        self.peak = max(self.peak, reaped.ru_maxrss * 1024)

    def _read_streams(self, wait_s: float) -> set[str]:
        """Who said something; a stream that ended is listened to no longer."""
        ready = {key.data: key.fd for key, _ in self._selector.select(wait_s)}
        for name, pipe in ready.items():
            if name == LEFT:
                continue
            if data := os.read(pipe, CHUNK):
                self.streams[name].take(data)
            else:
                self._selector.unregister(pipe)
                os.close(pipe)
        return {*ready}

    def _record_exits(self, ended: Mapping[int, int]) -> None:
        self.status = ended.get(self._pid, self.status)

    def _excess(self) -> str | None:
        """Which limit it went beyond, if any."""
        now, of = time.monotonic(), self._limits
        if (now - self.begun) * 1000 >= of.wall_ms:
            return TIMEOUT
        if now < self._next_look:
            return None
        self._next_look = now + LOOK_S
        self.census = seen = kin.census()
        self.peak = max(self.peak, seen.memory)
        for why, most, used in (
            (CPU, of.cpu_s, seen.cpu_s),
            (MEMORY, of.memory_mb * cage.MIB, seen.memory),
            (PROCESSES, of.processes, seen.threads),
        ):
            if used >= most:
                return why
        return None


def main() -> None:
    """Standard output has the report: how the command ended, or why it never began."""
    _keep_only()
    spec = json.loads(sys.stdin.buffer.readline())
    try:
        report = _keep_command(spec)
    except OSError as error:
        report = {"boot": str(error)}
    sys.stdout.write(json.dumps(report))


def _keep_command(spec: Mapping[str, Any]) -> dict[str, Any]:
    kernel.prctl(kernel.SUBREAPER, 1)
    uid, beside = cage.own_uid(), 0 if os.geteuid() == 0 else _processes_of_user()
    room = Room(spec["base"], uid)
    try:
        contained = cage.alone(net=spec["net"])
        within = Cage(
            uid=uid,
            limits=Limits(**spec["limits"]),
            work=room.work,
            shared=spec["shared"],
            net=spec["net"],
            is_alone=bool(contained),
            beside=beside,
        )
        command = Command(within, [cage.SHELL, "-c", spec["cmd"]], spec["env"])
        why = command.watch()
        wall_s = time.monotonic() - command.begun
        command.finish(uid)
        files, left_out = room.files()
    finally:
        kin.end(uid)
        room.remove()
    contained += ["uid"] if uid is not None else []
    contained += ["landlock", "seccomp"]
    return {
        "why": why,
        "exit": _exit(command.status),
        **{name: stream.text for name, stream in command.streams.items()},
        **{f"{name}Bytes": stream.size for name, stream in command.streams.items()},
        "files": files,
        "filesLeftOut": left_out,
        "truncated": any(stream.is_truncated for stream in command.streams.values()),
        "wallMs": round(wall_s * 1000),
        "cpuMs": round(command.census.cpu_s * 1000),
        "memPeakMB": -(-command.peak // cage.MIB),
        "contained": sorted(contained),
    }


def _become_command(
    within: Cage, words: list[str], extra: Mapping[str, str], ends: Mapping[str, int]
) -> None:
    """The child's part: it becomes the command, or tells why it cannot."""
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(ends["stdout"], 1)
        os.dup2(ends["stderr"], 2)
        _keep_only(ends["trouble"])
        within.enter(words, extra)
    except Exception as error:  # noqa: BLE001  # whatever it is, the other side has to hear of it
        os.write(ends["trouble"], (str(error) or type(error).__name__).encode())
    finally:
        os._exit(FAILED)


def _keep_only(*kept: int) -> None:
    """Whatever else was inherited is closed: who has our report's pipe could write the report."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > STANDARD and int(name) not in kept:
            with suppress(OSError):  # the one that the listing itself was
                os.close(int(name))


def _all_of(pipe: int) -> bytes:
    """What the other end writes until it closes, as a successful exec does."""
    with open(pipe, "rb") as file:
        return file.read()


def _exit(status: int | None) -> int:
    """As a shell would say it: 128 and the signal for one that was killed."""
    code = os.waitstatus_to_exitcode(status) if status is not None else -signal.SIGKILL
    return code if code >= 0 else 128 - code


def _processes_of_user() -> int:
    """How many threads our user has now: the kernel counts the command's among them."""
    own = os.geteuid()
    found = (pid for pid in os.listdir("/proc") if pid.isdecimal())
    return sum(_threads(pid) for pid in found if _owner(pid) == own)


def _owner(pid: str) -> int | None:
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except FileNotFoundError:
        return None


def _threads(pid: str) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/task"))
    except FileNotFoundError:
        return 0
