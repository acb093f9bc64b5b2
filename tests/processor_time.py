"""Hold a command to a budget: ``python -m tests.processor_time SECONDS WORD…``.

What a clock shows depends on who else is at work on the machine; processor time nearly does not.
All that descends from the command counts, also what outlived its parent: it becomes our child.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

SUBREAPER: Final = 36  # PR_SET_CHILD_SUBREAPER, of prctl(2)
OVER_BUDGET: Final = 3  # no status of pytest's own for tests that failed


def main(argv: Sequence[str] | None = None) -> int:
    """The status of the command; 3 when it was 0 and the command took more than its budget."""
    parser = argparse.ArgumentParser(prog="processor_time", description=__doc__)
    parser.add_argument("budget_s", type=float, metavar="SECONDS")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="WORD")
    given = parser.parse_args(argv)
    _adopt_orphans()
    began = time.monotonic()
    status = _run(given.command)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    used_s = used.ru_utime + used.ru_stime
    line = (
        f"processor time: {used_s:.1f} s of at most {given.budget_s:g} s"
        f" (user {used.ru_utime:.1f}, system {used.ru_stime:.1f};"
        f" {time.monotonic() - began:.1f} s by the clock)"
    )
    sys.stdout.write(f"{line}\n")
    if used_s <= given.budget_s:
        return status
    sys.stdout.write("over budget: see the slowest tests above, and CONTRIBUTING.md\n")
    return status or OVER_BUDGET


def _adopt_orphans() -> None:
    """A process that outlives its parent becomes our child, so that its time counts, too."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(SUBREAPER, 1, 0, 0, 0)


def _run(command: Sequence[str]) -> int:
    """The status of the command, as a shell tells it; whoever else ended is taken note of."""
    with subprocess.Popen(command) as process:  # noqa: S603  # the caller's own command
        while True:
            pid, status = os.wait()
            if pid == process.pid:
                process.returncode = os.waitstatus_to_exitcode(status)
                break
    _reap_ended()
    code = process.returncode
    return 128 - code if code < 0 else code


def _reap_ended() -> None:
    """Children that have ended are taken note of; those that run on are nobody's to wait for."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


if __name__ == "__main__":
    sys.exit(main())
