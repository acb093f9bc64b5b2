"""The reaper: a process that ends what its owner started, however the owner ends.

It reads one JSON list per line from its owner: ``["group", 123]``: a process group lives now;
``["gone", 123]``: it ended; ``["dir", "/tmp/x"]``: a directory to remove; ``["drop", dsn, name]``:
a database to drop. End of file means that the owner is gone, by SIGKILL or by a clean exit.
It uses only the standard library and no ``site``, because it must start in a few milliseconds.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TypeAlias

from pytest_spec11.errors import NotObserved
from pytest_spec11.waiting import GIVE_UP_S, eventually

Order: TypeAlias = tuple[str, ...]

GRACE_S: Final = 5.0
_HERE: Final = Path(__file__).parents[2]
_MAIN: Final = (
    "import sys; sys.path.append(sys.argv[1]); import pytest_spec11.launch.reaper as r; r.main()"
)


class Reaper:
    """The owner's end of the pipe. The process starts with the first order."""

    def __init__(self) -> None:
        self._sidecar: subprocess.Popen[bytes] | None = None
        self._write_end = -1
        self._lock = threading.Lock()

    def tell(self, verb: str, *what: str | int) -> None:
        """Send one order to the reaper; the module lists the verbs."""
        line = json.dumps([verb, *what]).encode() + b"\n"
        with self._lock:
            os.write(self._pipe(), line)

    def close(self) -> None:
        """Let the reaper end whatever is still listed, and wait for it."""
        with self._lock:
            if self._sidecar is not None:
                os.close(self._write_end)
                self._sidecar.wait(timeout=GIVE_UP_S)
                self._sidecar = None

    def _pipe(self) -> int:
        """The write end of the reaper's standard input; starts the reaper if none runs."""
        if self._sidecar is None:
            read_end, self._write_end = os.pipe()
            with _block_signals():
                self._sidecar = subprocess.Popen(  # noqa: S603  # our own interpreter and module
                    [sys.executable, "-S", "-E", "-c", _MAIN, str(_HERE)],
                    stdin=read_end,
                    stdout=subprocess.DEVNULL,
                    start_new_session=True,
                )
            os.close(read_end)
        return self._write_end


@contextmanager
def _block_signals() -> Iterator[None]:
    """A process started in the block blocks the stop signals from its first moment on."""
    before = signal.pthread_sigmask(
        signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    )
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def main() -> None:
    """Read orders to the end of file, then end what is left."""
    groups, dirs, drops = _read_orders(json.loads(line) for line in sys.stdin.buffer)
    end_groups(groups)
    for dsn, name in drops:
        _drop(dsn, name)
    for path in dirs:
        _remove(path)


def end_groups(groups: Iterable[int], grace_s: float = GRACE_S) -> None:
    """End every process group: ask it to stop, kill it after ``grace_s`` seconds."""
    asked = [group for group in groups if _signal_group(group, signal.SIGTERM)]
    for group in asked:
        _signal_group(group, signal.SIGCONT)  # a process under SIGSTOP does not handle signals
    with suppress(NotObserved):
        eventually(lambda: not any(_signal_group(group, 0) for group in asked), deadline_s=grace_s)
    for group in asked:
        _signal_group(group, signal.SIGKILL)


def _read_orders(orders: Iterable[list[str]]) -> tuple[list[int], list[str], list[tuple[str, str]]]:
    open_orders: dict[Order, None] = {}
    for verb, *what in orders:
        if verb == "gone":
            for settled in [order for order in open_orders if list(order[1:]) == what]:
                del open_orders[settled]
        else:
            open_orders[verb, *what] = None
    groups = [int(order[1]) for order in open_orders if order[0] == "group"]
    dirs = [order[1] for order in open_orders if order[0] == "dir"]
    drops = [(order[1], order[2]) for order in open_orders if order[0] == "drop"]
    return groups, dirs, drops


def _signal_group(group: int, signum: int) -> bool:
    """Signal the group; return whether it still had a process."""
    try:
        os.killpg(group, signum)
    except ProcessLookupError:
        return False
    except PermissionError:  # a process of another account now has this number
        return False
    return True


def _drop(dsn: str, name: str) -> None:
    command = [sys.executable, "-m", "pytest_spec11.launch.databases"]
    environment = {**os.environ, "PYTHONPATH": str(_HERE)}  # noqa: TID251  # handed on, not read
    subprocess.run(  # noqa: S603  # our own interpreter and module
        command, input=json.dumps([dsn, name]).encode(), env=environment, timeout=30, check=False
    )


def _remove(path: str) -> None:
    import shutil  # noqa: PLC0415  # only ever needed at the end

    shutil.rmtree(path, ignore_errors=True)
