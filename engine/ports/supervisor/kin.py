"""All descendants of this process: their census, and their end.

This process is their subreaper: a process that forks twice and loses its parents becomes our child,
so no process leaves the tree below us.
"""

from __future__ import annotations

import os
import resource
import select
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

PAGE: Final = os.sysconf("SC_PAGE_SIZE")
TICKS: Final = os.sysconf("SC_CLK_TCK")
ENDS_S: Final = 10.0
LOOK_S: Final = 0.005


@dataclass(frozen=True, slots=True)
class Census:
    """Their sums: threads, resident bytes, seconds of processor time."""

    threads: int
    memory: int
    cpu_s: float


def census() -> Census:
    """The sums of all of them now, with the processor time of ended ones."""
    counted = [found for pid in everyone() if (found := _stat(pid)) is not None]
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Census(
        threads=sum(int(each[17]) for each in counted),
        memory=sum(int(each[21]) for each in counted) * PAGE,
        cpu_s=ended.ru_utime
        + ended.ru_stime
        + sum(int(ticks) for each in counted for ticks in each[11:15]) / TICKS,
    )


def everyone() -> list[int]:
    """The process ids of all descendants; they may be gone, and there may be more of them."""
    found: list[int] = []
    ahead = [os.getpid()]
    while ahead:
        children = [*_children(ahead.pop())]
        found += children
        ahead += children
    return found


def reap_children() -> dict[int, int]:
    """The wait status of every child that has ended since the last look."""
    ended: dict[int, int] = {}
    with suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            ended[found[0]] = found[1]
    return ended


def end(uid: int | None) -> dict[int, int]:
    """The wait statuses of the last of them: nobody is left. Raises TimeoutError if somebody is.

    ``uid`` is nobody's but theirs: one call of the kernel then ends all at once, forks under way
    included. Without one they are stopped first, so that they cannot outrun the sweep.
    """
    ended = reap_children()
    deadline = time.monotonic() + ENDS_S
    while left := everyone():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(left)} processes outlived SIGKILL for {ENDS_S:g} s")
        if uid is not None:
            _end_all_of(uid)
        for signum in (signal.SIGSTOP, signal.SIGKILL):
            for pid in everyone():
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signum)
        ended |= reap_children()
        select.select([], [], [], LOOK_S)
    return ended


def _end_all_of(uid: int) -> None:
    killer = os.fork()
    if killer == 0:
        try:
            os.setgid(uid)
            os.setuid(uid)
            os.kill(-1, signal.SIGKILL)
        finally:
            os._exit(0)
    os.waitpid(killer, 0)


def _children(pid: int) -> Iterator[int]:
    with suppress(FileNotFoundError, ProcessLookupError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            yield from (int(each) for each in _read(f"/proc/{pid}/task/{thread}/children").split())


def _stat(pid: int) -> list[bytes] | None:
    """The fields of the process after its name, which may hold anything."""
    try:
        return _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def _read(path: str) -> bytes:
    place = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        found = b""
        while more := os.read(place, 65536):
            found += more
        return found
    finally:
        os.close(place)
