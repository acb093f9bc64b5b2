"""Runs of pytest that a campaign starts: none of them outlives it."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, Self, TypeVar

from pytest_spec11.errors import CannotJudge
from pytest_spec11.mutants import handover
from pytest_spec11.mutants.orders import Orders

T = TypeVar("T")

RAN: Final = frozenset({0, 1})  # what pytest ends with when it ran the tests


class Runs:
    """Starts runs in ``root``, as many at a time as ``jobs`` says."""

    def __init__(self, root: Path, jobs: int) -> None:
        self._root = root
        self.jobs = jobs
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
        for each in left:
            each.terminate()
        for each in left:
            each.wait()

    def run_all(self, tries: Sequence[Callable[[], T]]) -> list[T]:
        """What each of them gives, as many at a time as there may be; all end when one cannot."""
        with ThreadPoolExecutor(self.jobs) as pool:
            under_way = [pool.submit(each) for each in tries]
            try:
                return [each.result() for each in under_way]
            except BaseException:
                self._break_off()
                raise

    def run(self, command: Sequence[str], log: Path, orders: Orders | None = None) -> int:
        """How that run of pytest ended. Raises CannotJudge once the campaign is over."""
        ours, theirs = handover.open_channel()
        with log.open("wb") as out, ours:
            with self._lock:
                if self._over:
                    raise CannotJudge("broken off")
                running = subprocess.Popen(  # noqa: S603  # our own interpreter, no shell
                    command,
                    cwd=self._root,
                    stdin=theirs.fileno() if orders is not None else subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                )
                self._running.add(running)
            theirs.close()
            try:
                if orders is not None:
                    handover.send(ours, orders)
                return running.wait()
            finally:
                if running.poll() is not None:
                    self._running.discard(running)


def _interrupt(*_: object) -> None:
    """Being asked to end is what Ctrl-C is."""
    raise KeyboardInterrupt
