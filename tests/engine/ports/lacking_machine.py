"""One command in the local sandbox of a machine that lacks something, run as its own process.

A seccomp filter answers a system call as a kernel does that has none. The one argument is JSON:
limits, directory, command, numbers of the system calls, and whether the engine is not root.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from engine.core.plans import Task
from engine.ports.sbx.local import Local
from engine.ports.supervisor import kernel, syscalls
from engine.ports.supervisor.cage import Limits
from engine.ports.supervisor.syscalls import ALLOW, ANSWER, EQUAL, FAIL, FIRST, LOAD, NUMBER, Step

SOMEBODY = 1000
PRCTL = 157
_OF_FILTER: list[Step] = [  # of all that prctl does, it does not take a filter
    (EQUAL, 0, 3, PRCTL),
    (LOAD, 0, 0, FIRST),
    (EQUAL, 0, 1, syscalls.SECCOMP),
    (ANSWER, 0, 0, FAIL | errno.EINVAL),
]


def become_somebody() -> None:
    """This process is not root any more; files that were its own stay its own."""
    uid, gid = os.geteuid(), os.getegid()
    if not kernel.unshare(kernel.NEW_USER):
        raise OSError("this kernel gives no user namespace")
    for name, line in (
        ("setgroups", "deny"),
        ("uid_map", f"{SOMEBODY} {uid} 1"),
        ("gid_map", f"{SOMEBODY} {gid} 1"),
    ):
        Path(f"/proc/self/{name}").write_text(line, encoding="ascii")


def remove_calls(calls: Sequence[int]) -> None:
    """From now on the kernel knows none of ``calls``."""
    steps: list[Step] = [(LOAD, 0, 0, NUMBER)]
    for call in calls:
        gone: list[Step] = [(EQUAL, 0, 1, call), (ANSWER, 0, 0, FAIL | errno.ENOSYS)]
        steps += _OF_FILTER if call == PRCTL else gone
    syscalls.install_filter([*steps, (ANSWER, 0, 0, ALLOW)])


def main() -> None:
    """Standard output has the class, both streams and the reference of the sandbox."""
    limits, base, cmd, calls, is_somebody = json.loads(sys.argv[1])
    if is_somebody:
        become_somebody()
    kernel.prctl(kernel.NO_NEW_PRIVILEGES, 1)
    remove_calls(calls)
    local = Local(limits=Limits(**limits), base=Path(base))
    ended = asyncio.run(local.run(Task(key="a" * 64, cmd=cmd), 1))
    told = [ended.err_code, ended.stdout, ended.stderr, ended.sandbox_ref]
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
