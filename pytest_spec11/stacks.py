"""Private stacks for tests that kill, plant or reconfigure, and control over their processes."""

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
from pytest_spec11.oracles.http import Api
from pytest_spec11.oracles.proc import Proc
from pytest_spec11.oracles.sql import Admin, Sql
from pytest_spec11.oracles.witness import Witness
from pytest_spec11.target import Process, Target, fill_placeholders


class Control:
    """Power over one process of a private stack; whatever is done to it is on record."""

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
        """The file with everything it printed, over all its starts."""
        return self._running.log

    def signal(self, signum: signal.Signals) -> None:
        """The signal was sent to the process itself, children excluded. Raises TargetFailed."""
        if self._parts.active_saboteurs.allows_signal(self._name, signum):
            self._running.signal(signum)
        self._record_observation("signal", signum.name)

    def kill(self) -> int:
        """The exit code after SIGKILL: -9, unless it ended by itself just before."""
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
        """The exit code after its stop signal; its whole process group is gone."""
        self._running.ask_to_stop()
        code: int | None = self._read("exitCode", self._running.reap())
        return code

    def start(self) -> None:
        """The process runs again and is ready. Raises TargetFailed."""
        if not self._parts.active_saboteurs.allows_start(self._name):
            return
        self._parts.relaunch(self._name)
        self._record_observation("readyAfterMs", round(self._running.ready_after_s * 1000))

    def restart(self) -> None:
        """Stopped, if it still ran, and ready again."""
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
    """A private stack: oracles on it, control over its processes, superuser SQL to plant faults.

    Every access makes an oracle that reports to the test running then.
    """

    def __init__(self, parts: Parts, witness: Callable[[], Witness]) -> None:
        self._parts = parts
        self._witness = witness
        self._access: dict[str, Access] = {}

    @property
    def name(self) -> str:
        """Its name, also that of its directory of logs."""
        return self._parts.name

    @property
    def address(self) -> Address:
        """Where it answers now."""
        return self._parts.address

    @property
    def api(self) -> Api:
        """Requests to its base URL."""
        return self._open("").api(self._witness())

    def api_at(self, process: str) -> Api:
        """Requests to the process of that name, which serves what the target's own one serves."""
        return self._open(process).api(self._witness())

    @property
    def app_sql(self) -> Sql:
        """Facts of its schema app."""
        return self._open("").app_sql(self._witness())

    @property
    def sys_sql(self) -> Sql:
        """Facts of its schema dbos."""
        return self._open("").sys_sql(self._witness())

    @property
    def proc(self) -> Proc:
        """Facts about its processes."""
        return Access(self.address, self._parts.active_saboteurs).proc(self._witness())

    @property
    def admin(self) -> Admin:
        """Superuser SQL on its database. Raises NotProvable when the target gives none."""
        dsn = self._parts.target.admin_dsn
        if dsn is None:
            raise NotProvable("this target names no admin_dsn: nothing can be planted")
        return Admin(fill_placeholders(dsn, self._parts.values), self._witness())

    @property
    def base_url(self) -> str:
        """Where its API answers now; empty while the process that serves it never ran."""
        return self.address.base_url

    def process(self, name: str) -> Control:
        """Power over the process of that name, started or not. Raises NotProvable."""
        if name not in self._parts.running:
            known = ", ".join(self._parts.running)
            raise NotProvable(f"stack {self.name} has no process {name}; it has: {known}")
        return Control(self._parts, name, self._witness)

    def spawn(self, process: Process) -> Control:
        """One more process on this stack, begun; whether it is ready is not waited for."""
        self._parts.add(process).spawn(self._parts.values)
        return Control(self._parts, process.name, self._witness)

    def begin(self, process: Process) -> Control:
        """One more process on this stack, ready. Raises TargetFailed."""
        self._parts.add(process)
        control = Control(self._parts, process.name, self._witness)
        control.start()
        return control

    def fill_process(self, process: str) -> Process:
        """The process of that name as it is started here: placeholders have their values."""
        return self._parts.fill_process(process)

    def url_of(self, process: str) -> str:
        """Where the process of that name serves, whatever the oracles have to dial instead."""
        return self._parts.address_at(process).base_url

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> dict[str, int | None]:
        """Exit codes by process; database, processes and connections are gone."""
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
    """Private stacks for tests that kill, plant or reconfigure; all end with the session."""

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
        """A new stack, ready: the processes named by ``only`` (None: all) and ``extra``.

        ``env`` is laid over the environment of each of them. What ``only`` leaves out can be
        started later, by ``stack.process(name).start()``; ``only=()`` is a bare database.
        Raises NotProvable when the target is a system that somebody else runs, TargetFailed when
        a process does not get ready.
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
        """Starter of stacks of another target, which names no service; they end with these."""
        other = Stacks(target, dict, self._site, self._witness)
        self._others.append(other)
        return other

    def close(self) -> None:
        """Every stack started here is gone."""
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
