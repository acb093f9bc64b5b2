"""Runs of pytest that a campaign starts: none of them outlives it."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import IO, Final, Self, TypeVar

from pytest_spec11.errors import CannotJudge
from pytest_spec11.launch.reaper import end_groups
from pytest_spec11.mutants import handover
from pytest_spec11.mutants.orders import Orders

T = TypeVar("T")

# The inner shell waits for the run and says how it ended; the outer one is gone at once. The run
# writes into a pipe, as it does wherever a machine reads what it prints.
# A shell corrects PWD and counts itself in SHLVL; the run has them as they were.
_INNER: Final = 'PWD=$1 SHLVL=$2; shift 2; { "$@" <&3 3>&- 2>&1; printf %s "$?" >&3; } | cat 3>&-'
_DETACH: Final = f"exec 3<&0; sh -c '{_INNER}' sh \"$@\" &"
_GRACE_S: Final = 15.0
LONGEST_S: Final = 3600.0
RAN: Final = frozenset({0, 1})  # what pytest ends with when it ran the tests


class Runs:
    """Starts runs in ``root``, as many at a time as ``jobs`` says.

    A fault may make a test wait for ever. So a controlled run that did not end after ``deadline_s``
    is ended, and counts as one that died.
    """

    def __init__(self, root: Path, jobs: int, deadline_s: float = LONGEST_S) -> None:
        self._root = root
        self.jobs = jobs
        self._deadline_s = deadline_s
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._over = False
        self._before = signal.signal(signal.SIGTERM, _interrupt)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._break_off()
        signal.signal(signal.SIGTERM, self._before)

    def _break_off(self) -> None:
        """No run is under way, and none will be; what they started ends with them."""
        with self._lock:
            self._over = True
            left = tuple(self._running)
        for each in left:  # a group outlives the shell that led it
            with suppress(ProcessLookupError):
                os.killpg(each.pid, signal.SIGTERM)
        for each in left:
            each.wait()
            end_groups([each.pid], grace_s=_GRACE_S)

    def run_all(self, tries: Sequence[Callable[[], T]]) -> list[T]:
        """What each of them gives, as many at a time as there may be; all end when one cannot."""
        with ThreadPoolExecutor(self.jobs) as pool:
            under_way = [pool.submit(each) for each in tries]
            try:
                return [each.result() for each in under_way]
            except BaseException:
                self._break_off()
                raise

    def run_plain(self, command: Sequence[str], log: Path) -> int:
        """The exit status of a run that anybody could start. Raises CannotJudge after the end."""
        with log.open("wb") as out:
            running = self._start(command, subprocess.DEVNULL, out)
            return running.wait()

    def run_controlled(self, command: Sequence[str], log: Path, orders: Orders) -> int:
        """The exit status of a run with orders; -1 if it died. Raises CannotJudge after the end.

        A shell of its own starts it, in a session of its own: its parent is no command of ours.
        """
        ours, theirs = handover.open_channel()
        with log.open("wb") as out, ours:
            shell = (os.environ.get("PWD", ""), os.environ.get("SHLVL", ""))  # noqa: TID251  # as they are
            launcher = ("/bin/sh", "-c", _DETACH, "sh", *shell, *command)
            started = self._start(launcher, theirs.fileno(), out)
            theirs.close()
            started.wait()
            handover.send(ours, orders)
            ours.settimeout(self._deadline_s)
            try:
                status = handover.receive_status(ours)
            except TimeoutError:
                end_groups([started.pid], grace_s=_GRACE_S)
                status = -1
        with self._lock:
            self._running.discard(started)
        return status

    def _start(self, command: Sequence[str], stdin: int, out: IO[bytes]) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._over:
                raise CannotJudge("broken off")
            running = subprocess.Popen(  # noqa: S603  # our own interpreter or shell
                command,
                cwd=self._root,
                stdin=stdin,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
            self._running.add(running)
            return running


def _interrupt(*_: object) -> None:
    """Being asked to end is what Ctrl-C is."""
    raise KeyboardInterrupt
