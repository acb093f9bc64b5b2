"""A started process: its output in a file, its ready line, and control over it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pytest_spec11.addresses import Values
from pytest_spec11.errors import NotObserved, TargetFailed
from pytest_spec11.launch.fork_servers import Forked, ForkServers
from pytest_spec11.launch.reaper import Reaper, end_groups
from pytest_spec11.saboteurs.saboteur import ActiveSaboteurs
from pytest_spec11.target import Process, fill_placeholders
from pytest_spec11.waiting import Patience, eventually, wait_in_turns

TAIL_LINES: Final = 20
LOOK_EVERY_S: Final = 0.01


@dataclass(frozen=True)
class Site:
    """Where the processes of one owner run: log files below ``logs``, a reaper that ends them.

    ``armed`` are the faults between them and the prover. Without ``fork_servers`` each process
    starts by its command, also a process that has a fork server.
    """

    run: str
    logs: Path
    reaper: Reaper
    cancelled: Callable[[], bool] = lambda: False
    counter: list[int] = field(default_factory=lambda: [0])
    armed: ActiveSaboteurs = field(default_factory=ActiveSaboteurs)
    fork_servers: ForkServers | None = None

    def next_name(self, stem: str) -> str:
        """``stem`` and a number that this owner has not used before."""
        self.counter[0] += 1
        return f"{stem}{self.counter[0]}"


class Running:
    """One process of a stack, or a service, alive or ended. It can start again."""

    def __init__(self, process: Process, log: Path, site: Site) -> None:
        self.process = process
        self.log = log
        self.started_at = 0.0
        self.ready_after_s = 0.0
        self._patience = Patience(process.deadline_s)
        self._reaper = site.reaper
        self._fork_servers = site.fork_servers
        self._popen: subprocess.Popen[bytes] | Forked | None = None
        self._offset = 0

    @property
    def name(self) -> str:
        """Its name in the target."""
        return self.process.name

    @property
    def was_started(self) -> bool:
        """Whether it was ever started. It may have ended since then."""
        return self._popen is not None

    @property
    def pid(self) -> int:
        """The process id, also of its process group. Raises TargetFailed when never started."""
        if self._popen is None:
            raise TargetFailed(f"{self.name} was not started")
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code, negative for a signal; None while it runs or before it was started."""
        return None if self._popen is None else self._popen.poll()

    @property
    def alive(self) -> bool:
        """Whether the process exists and has not ended."""
        return self._popen is not None and self._popen.poll() is None

    def spawn(self, values: Mapping[tuple[str, str], str]) -> None:
        """Start the process, placeholders filled in; :meth:`readiness` tells when it is ready."""
        if self.alive:
            raise TargetFailed(f"{self.name} runs already, pid {self.pid}")
        command = [fill_placeholders(part, values) for part in self.process.command]
        env = {name: fill_placeholders(value, values) for name, value in self.process.env.items()}
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self._offset = output.tell()
            self._popen = self._open_process(command, env, output.fileno())
        self.started_at = time.monotonic()
        self._patience = Patience(self.process.deadline_s)
        self._reaper.tell("group", self._popen.pid)

    def _open_process(
        self, command: Sequence[str], env: Mapping[str, str], output: int
    ) -> subprocess.Popen[bytes] | Forked:
        server = self.process.fork_server
        if self._fork_servers is not None and server is not None and server.serves(command, env):
            return self._fork_servers.start(server, command, env, output)
        try:
            return subprocess.Popen(  # noqa: S603  # the target's own command, no shell
                command,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        except OSError as error:
            raise TargetFailed(f"{self.name} cannot be started: {error}") from error

    def readiness(self) -> dict[str, str] | None:
        """The groups of its ready line; None while there is none yet.

        Raises TargetFailed, with the end of the log, when it ended or its deadline passed.
        """
        ended = self.exit_code
        if self.process.ready is None:
            found: dict[str, str] | None = {} if ended == 0 else None
        else:
            match = re.search(self.process.ready, self.output(), re.MULTILINE)
            found = match.groupdict(default="") if match else None
        if found is not None:
            self.ready_after_s = time.monotonic() - self.started_at
            return found
        self._require_hope(ended)
        return None

    def _require_hope(self, ended: int | None) -> None:
        if ended is not None:
            raise TargetFailed(f"{self.name} ended with {ended} before it was ready{self.tail()}")
        if self._patience.is_over():
            raise TargetFailed(
                f"{self.name} was not ready within {self._patience.description}{self.tail()}"
            )

    def output(self) -> str:
        """Everything that it printed since its last start, to both streams."""
        with self.log.open("rb") as log:
            log.seek(self._offset)
            return log.read().decode(errors="replace")

    def tail(self) -> str:
        """The last lines of its log, indented, beginning with a line that names the file."""
        lines = self.output().splitlines()[-TAIL_LINES:] if self.log.exists() else []
        shown = "".join(f"\n    {line}" for line in lines) or "\n    (it printed nothing)"
        return f"\n  end of {self.log}:{shown}"

    def signal(self, signum: signal.Signals) -> None:
        """Send the signal to the process itself, not to its children."""
        if not self.alive:
            raise TargetFailed(f"{self.name} is not running and cannot get {signum.name}")
        os.kill(self.pid, signum)

    def wait_exit(self, deadline_s: float) -> int:
        """Wait for the exit code, negative for a signal. Raises NotObserved."""
        if self._popen is None:
            raise TargetFailed(f"{self.name} was not started")
        try:
            return wait_in_turns(self._popen.wait, deadline_s)
        except subprocess.TimeoutExpired as error:
            message = f"{self.name} still runs after {deadline_s:g} s, pid {self.pid}"
            raise NotObserved(message) from error

    def ask_to_stop(self) -> None:
        """Send its stop signal if it runs."""
        if self.alive:
            self.signal(signal.SIGCONT)
            with suppress(TargetFailed):  # it may end between the two calls
                self.signal(self.process.stop_signal)

    def reap(self) -> int | None:
        """Stop it and its group, by force if necessary; return the exit code."""
        if self._popen is None:
            return None
        with suppress(NotObserved):
            self.wait_exit(self.process.stop_s)
        end_groups([self.pid], grace_s=0.5)
        code = self.wait_exit(self.process.stop_s)
        self._reaper.tell("gone", self.pid)
        return code


def launch(plan: Sequence[Running], values: Values, site: Site) -> None:
    """Start every process of ``plan``; add the groups of their ready lines to ``values``.

    Each starts when its placeholders have values and the steps listed before it are done. When one
    fails, it ends the others and raises TargetFailed that names the failed one.
    """
    launching = Launch(plan, values, site)
    deadline_s = sum(running.process.deadline_s for running in plan) + 1
    try:
        eventually(launching.step, deadline_s=deadline_s, every_s=LOOK_EVERY_S)
    except BaseException:
        end(plan)
        raise


class Launch:
    """One launch: which processes wait for values, which have started and are not ready yet."""

    def __init__(self, plan: Sequence[Running], values: Values, site: Site) -> None:
        self._waiting = list(plan)
        self._starting: list[Running] = []
        self._values = values
        self._site = site

    def step(self) -> bool:
        """Start what can start now; return whether all are ready."""
        if self._site.cancelled():
            raise TargetFailed("the run ended before its target was ready")
        for running in tuple(self._starting):
            if (found := running.readiness()) is not None:
                self._starting.remove(running)
                self._values.update({(running.name, key): each for key, each in found.items()})
        for running in self._free():
            self._waiting.remove(running)
            self._starting.append(running)
            running.spawn(self._values)
        return not self._waiting and not self._starting

    def _free(self) -> list[Running]:
        if any(running.process.ready is None for running in self._starting):
            return []
        free: list[Running] = []
        for running in self._waiting:
            if running.process.needs <= self._values.keys():
                free.append(running)
            if running.process.ready is None:  # a step: processes after it must wait
                break
        return free


def end(everyone: Iterable[Running]) -> dict[str, int | None]:
    """Stop all of them at the same time; return the exit codes by name."""
    group = tuple(everyone)
    for running in group:
        running.ask_to_stop()
    return {running.name: running.reap() for running in group}
