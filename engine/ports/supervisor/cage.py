"""What one command may be and use: another user, no new rights, limits, its own files alone."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Never

from engine.ports.supervisor import kernel, syscalls

FIRST_UID: Final = 1_900_000_000  # beyond the ids that systems and containers give to anybody
SHELL: Final = "/bin/sh"
PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
READABLE: Final = (
    *("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/usr", "/opt"),
    *("/etc", "/proc", "/sys/devices/system/cpu", "/dev"),
)
DEVICES: Final = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
OPEN_FILES: Final = 256
MIB: Final = 2**20
RESTORED: Final = (signal.SIGPIPE, signal.SIGXFSZ)  # the interpreter ignores these


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The most that a command may use: milliseconds and seconds, MiB of memory and of one file."""

    wall_ms: int
    cpu_s: int
    memory_mb: int
    file_mb: int
    processes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cage:
    """The bounds of one command. ``uid``: nobody's but its own, None where we may not choose."""

    uid: int | None
    limits: Limits
    work: str
    shared: str | None
    net: bool
    is_alone: bool  # whether it left the networks and the shared memory of the machine
    beside: int  # processes that its user has already

    def enter(self, words: list[str], extra: Mapping[str, str]) -> Never:
        """This process becomes ``words``, within the bounds. Raises OSError."""
        os.setsid()
        for signum in RESTORED:
            signal.signal(signum, signal.SIG_DFL)
        os.umask(0o077)
        self._step_down()
        kernel.prctl(kernel.PARENT_DEATH, signal.SIGKILL)  # after the step, which undoes it
        kernel.prctl(kernel.NO_NEW_PRIVILEGES, 1)
        own = (self.work, self.shared) if self.shared else (self.work,)
        kernel.confine(READABLE, (*own, *DEVICES), net=self.net)
        os.chdir(self.work)
        syscalls.forbid_calls(inet=self.net or self.is_alone, shared_memory=self.is_alone)
        self._limit()  # the last: what is lowered here bounds our own steps, too
        os.execve(words[0], words, {**self._environment(), **extra})  # noqa: S606  # that is the point

    def _environment(self) -> dict[str, str]:
        """All that it knows of the world: nothing of ours is handed on."""
        return {"PATH": PATH, "HOME": self.work, "TMPDIR": self.work, "LANG": "C.UTF-8"}

    def _limit(self) -> None:
        of, processes = self.limits, self.limits.processes + self.beside
        for what, most in (
            (resource.RLIMIT_CORE, 0),
            (
                resource.RLIMIT_CPU,
                of.cpu_s + 1,
            ),  # of one process; of all of them we count ourselves
            # What a process may fill. Address space as such costs nothing, and node reserves a lot.
            (resource.RLIMIT_DATA, of.memory_mb * MIB),
            (resource.RLIMIT_FSIZE, of.file_mb * MIB),
            (resource.RLIMIT_NPROC, processes),
            (resource.RLIMIT_NOFILE, OPEN_FILES),
        ):
            hard = resource.getrlimit(what)[1]
            least = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(what, (least, least + 1 if what == resource.RLIMIT_CPU else least))

    def _step_down(self) -> None:
        """When the machine is short of memory this goes first; it is nobody's account."""
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write("1000")
        if self.uid is not None:
            os.setgroups([])
            os.setgid(self.uid)
            os.setuid(self.uid)


def own_uid() -> int | None:
    """A user id that belongs to this process's command alone, while this process lives."""
    return FIRST_UID + os.getpid() if os.geteuid() == 0 else None


def alone(*, net: bool) -> list[str]:
    """This process left the networks and the shared memory of the machine, as far as it may."""
    if net:
        return []
    wanted = kernel.NEW_NET | kernel.NEW_IPC
    uid, gid = os.geteuid(), os.getegid()
    if kernel.unshare(wanted if uid == 0 else wanted | kernel.NEW_USER):
        if uid != 0:
            _map(uid, gid)
        return ["net"]
    return []


def _map(uid: int, gid: int) -> None:
    """Our user is called in the new namespace as outside of it."""
    lines = {"setgroups": "deny", "uid_map": f"{uid} {uid} 1", "gid_map": f"{gid} {gid} 1"}
    for name, line in lines.items():
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(line)
