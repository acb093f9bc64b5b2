"""A real worker process for a test: started, killed, frozen, thawed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pytest_spec11.waiting import GIVE_UP_S


@dataclass(frozen=True, slots=True)
class Worker:
    """A running worker."""

    process: subprocess.Popen[str]

    def send(self, signum: signal.Signals) -> None:
        """The process itself has been sent the signal."""
        self.process.send_signal(signum)

    def kill(self) -> int:
        """The exit code after SIGKILL."""
        self.process.kill()
        return self.process.wait(GIVE_UP_S)


@contextmanager
def running_worker(dsn: str, executor_id: str = "w0", **env: str) -> Iterator[Worker]:
    """A worker that is ready on ``dsn``; whatever became of it, it is gone at the end."""
    process = start_worker(dsn, executor_id, **env)
    try:
        line = process.stdout.readline() if process.stdout else ""
        assert line == f"worker {executor_id} ready\n"
        yield Worker(process)
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(GIVE_UP_S)
        finally:
            process.kill()
            process.wait(GIVE_UP_S)
            if process.stdout is not None:
                process.stdout.close()


def start_worker(dsn: str, executor_id: str, **env: str) -> subprocess.Popen[str]:
    """A worker just begun."""
    return subprocess.Popen(  # our own words only
        [sys.executable, "-m", "engine", "worker"],
        env={**os.environ, "SPEC11_DSN": dsn, "DBOS__VMID": executor_id, **env},  # noqa: TID251  # the child's
        stdout=subprocess.PIPE,
        text=True,
    )
