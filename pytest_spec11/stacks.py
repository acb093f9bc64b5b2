"""Private stacks, and control over their processes: to kill, plant faults, change settings."""

from __future__ import annotations

import signal
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from pytest_spec11.addresses import Address, Values
from pytest_spec11.errors import NotProvable
from pytest_spec11.launch.processes import Running, Site
from pytest_spec11.launch.stack_resources import Parts
from pytest_spec11.oracles.access import Access
from pytest_spec11.oracles.browser import Browser
from pytest_spec11.oracles.http import Api
from pytest_spec11.oracles.proc import Proc
from pytest_spec11.oracles.sql import Admin, Sql
from pytest_spec11.oracles.witness import Witness
from pytest_spec11.target import Process, Target, fill_placeholders


class Control:
    """Control over one process of a private stack. The journal records each action."""

    def __init__(self, parts: Parts, name: str, witness: Callable[[], Witness]) -> None:
        self._parts = parts
        self._name = name
        self._witness = witness

    @property
    def _running(self) -> Running:
        return self._parts.running[self._name]

    @property
    def pid(self) -> int:
        """The process id, also of its process group."""
        return self._running.pid

    @property
    def alive(self) -> bool:
        """Whether the process exists and has not ended."""
        return bool(self._read("alive", self._running.alive))

    @property
    def log(self) -> Path:
        """The file with everything that the process printed, over all its starts."""
        return self._running.log

    def signal(self, signum: signal.Signals) -> None:
        """Send the signal to the process, not to its children. Raises TargetFailed."""
        if self._parts.active_saboteurs.allows_signal(self._name, signum):
            self._running.signal(signum)
        self._record_observation("signal", signum.name)

    def kill(self) -> int:
        """Send SIGKILL and return the exit code: -9, unless the process ended just before."""
        self.signal(signal.SIGKILL)
        return self.wait_exit()

    def output(self) -> str:
        """All that it printed since its last start, both streams."""
        text = str(self._pass_on("output", self._running.output()))
        self._record_observation("output", text[-2000:])
        return text

    def wait_exit(self, deadline_s: float = 15.0) -> int:
        """The exit code, negative for a signal. Raises NotObserved while it still runs."""
        return int(self._read("exitCode", self._running.wait_exit(deadline_s)))

    def stop(self) -> int | None:
        """Stop the process and its whole process group; return the exit code."""
        self._running.ask_to_stop()
        code: int | None = self._read("exitCode", self._running.reap())
        return code

    def start(self) -> None:
        """Start the process again and wait until it is ready. Raises TargetFailed."""
        if not self._parts.active_saboteurs.allows_start(self._name):
            return
        self._parts.relaunch(self._name)
        self._record_observation("readyAfterMs", round(self._running.ready_after_s * 1000))

    def restart(self) -> None:
        """Stop the process if it runs, then start it. Raises TargetFailed."""
        self.stop()
        self.start()

    def _read(self, what: str, value: Any) -> Any:
        """The value as the test gets it, on record."""
        read = self._pass_on(what, value)
        self._record_observation(what, read)
        return read

    def _pass_on(self, what: str, value: Any) -> Any:
        ref = f"{self._name}.{what}"
        return self._witness().pass_on("process", ref, {what: value})[what]

    def _record_observation(self, what: str, value: str | float | None) -> None:
        pid = self._running.pid if self._running.was_started else None
        facts = {"process": self._name, "pid": pid, "stack": self._parts.name, what: value}
        self._witness()("process", f"{self._name}.{what}", facts)


class Stack:
    """A private stack: its oracles, control over its processes, superuser SQL to plant faults.

    Each access creates an oracle that reports to the test that runs at that time.
    """

    def __init__(self, parts: Parts, witness: Callable[[], Witness]) -> None:
        self._parts = parts
        self._witness = witness
        self._access: dict[str, Access] = {}

    @property
    def name(self) -> str:
        """Its name, which is also the name of its directory of logs."""
        return self._parts.name

    @property
    def address(self) -> Address:
        """Where it answers now."""
        return self._parts.address

    @property
    def api(self) -> Api:
        """Requests to its base URL."""
        return self._open("").api(self._witness())

    @property
    def browser(self) -> Browser:
        """Its pages, in a real Chromium."""
        return self._open("").browser(self._witness())

    def api_at(self, process: str) -> Api:
        """Requests to the process of that name, which serves the same API as the target's own."""
        return self._open(process).api(self._witness())

    @property
    def app_sql(self) -> Sql:
        """Oracle of its schema app."""
        return self._open("").app_sql(self._witness())

    @property
    def sys_sql(self) -> Sql:
        """Oracle of its schema dbos."""
        return self._open("").sys_sql(self._witness())

    @property
    def proc(self) -> Proc:
        """Oracle of its processes."""
        return Access(self.address, self._parts.active_saboteurs).proc(self._witness())

    @property
    def admin(self) -> Admin:
        """Superuser SQL on its database. Raises NotProvable when the target has no such role."""
        dsn = self._parts.target.admin_dsn
        if dsn is None:
            raise NotProvable("this target names no admin_dsn: nothing can be planted")
        return Admin(fill_placeholders(dsn, self._parts.values), self._witness())

    @property
    def base_url(self) -> str:
        """Where its API answers now; empty if the process that serves it was never started."""
        return self.address.base_url

    def process(self, name: str) -> Control:
        """Control over the process of that name, started or not. Raises NotProvable."""
        if name not in self._parts.running:
            known = ", ".join(self._parts.running)
            raise NotProvable(f"stack {self.name} has no process {name}; it has: {known}")
        return Control(self._parts, name, self._witness)

    def spawn(self, process: Process) -> Control:
        """Start one more process on this stack; do not wait until it is ready."""
        self._parts.add(process).spawn(self._parts.values)
        return Control(self._parts, process.name, self._witness)

    def begin(self, process: Process) -> Control:
        """Start one more process on this stack; wait until it is ready. Raises TargetFailed."""
        self._parts.add(process)
        control = Control(self._parts, process.name, self._witness)
        control.start()
        return control

    def fill_process(self, process: str) -> Process:
        """The process of that name as this stack starts it, with placeholders filled in."""
        return self._parts.fill_process(process)

    def url_of(self, process: str) -> str:
        """Where the process of that name serves, without a saboteur that stands between."""
        return self._parts.address_at(process).base_url

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> dict[str, int | None]:
        """Stop processes, connections and database; return the exit codes by process."""
        for access in self._access.values():
            access.close()
        self._access.clear()
        codes = self._parts.stop()
        if not codes:
            return codes
        witness, ref = self._witness(), f"{self.name}.stop"
        read: dict[str, int | None] = witness.pass_on("process", ref, {"exitCodes": codes})[
            "exitCodes"
        ]
        witness("process", ref, {"exitCodes": read, "stack": self.name})
        return read

    def _open(self, process: str) -> Access:
        address = self._parts.address_at(process) if process else self.address
        known = self._access.get(process)
        if known is None or known.address != address:
            if known is not None:
                known.close()
            known = self._access[process] = Access(address, self._parts.active_saboteurs)
        return known


class Stacks:
    """Starts private stacks. All of them end with the session."""

    def __init__(
        self,
        target: Target,
        values: Callable[[], Values],
        site: Site,
        witness: Callable[[], Witness],
    ) -> None:
        self.target = target
        self._values = values
        self._site = site
        self._witness = witness
        self._started: list[Stack] = []
        self._others: list[Stacks] = []

    def start(
        self,
        *,
        env: Mapping[str, str] | None = None,
        only: Collection[str] | None = None,
        extra: Mapping[str, Process] | None = None,
    ) -> Stack:
        """Start a stack and wait until it is ready.

        It has the processes named by ``only`` (None: all) and those of ``extra``. ``env`` is laid
        over the environment of each. A process that ``only`` leaves out can start later, by
        ``stack.process(name).start()``; ``only=()`` gives a bare database. Raises NotProvable when
        the target is a system that somebody else runs, TargetFailed when a process does not get
        ready.
        """
        if not self.target.controllable:
            raise NotProvable("needs processes of its own, and the target was started elsewhere")
        parts = Parts(self.target, self._site.next_name("s"), self._site, self._values())
        everyone = self._everyone(env or {}, extra or {})
        parts.start(everyone, self._names(only) | set(extra or {}))
        stack = Stack(parts, self._witness)
        self._started.append(stack)
        return stack

    def of(self, target: Target) -> Stacks:
        """Starts stacks of another target, which names no service; they end with these."""
        other = Stacks(target, dict, self._site, self._witness)
        self._others.append(other)
        return other

    def close(self) -> None:
        """Stop every stack that this object started."""
        with ExitStack() as steps:
            for other in self._others:
                steps.callback(other.close)
            while self._started:
                steps.callback(self._started.pop().stop)

    def _everyone(
        self, env: Mapping[str, str], extra: Mapping[str, Process]
    ) -> tuple[Process, ...]:
        more = [process.using({}, name=name) for name, process in extra.items()]
        return tuple(process.using(env) for process in (*self.target.processes, *more))

    def _names(self, only: Collection[str] | None) -> set[str]:
        known = {process.name for process in self.target.processes}
        if unknown := set(only or ()) - known:
            raise NotProvable(f"{self.target.name} has no process {', '.join(sorted(unknown))}")
        return known if only is None else set(only)
