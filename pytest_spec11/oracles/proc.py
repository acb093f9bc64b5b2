"""The oracle of the process table, and of commands that it runs."""

from __future__ import annotations

import ipaddress
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Final

import psutil

from pytest_spec11.canon import Json
from pytest_spec11.errors import NotProvable
from pytest_spec11.launch.reaper import end_groups
from pytest_spec11.oracles.witness import Witness, fingerprint, hide_secrets, without_password
from pytest_spec11.saboteurs.saboteur import ActiveSaboteurs
from pytest_spec11.target import Process
from pytest_spec11.waiting import wait_in_turns

RUN_S: Final = 60.0


@dataclass(frozen=True)
class Exit:
    """The end of a command: exit code (negative for a signal) and both streams."""

    code: int
    stdout: str
    stderr: str


@dataclass(frozen=True, order=True)
class Socket:
    """A listening socket of a process tree."""

    host: str
    port: int
    pid: int

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return ipaddress.ip_address(self.host).is_loopback


class Proc:
    """Facts about the stack's processes, by their names in the target."""

    def __init__(
        self, pids: Mapping[str, int], witness: Witness, armed: ActiveSaboteurs | None = None
    ) -> None:
        self._pids = pids
        self._witness = witness
        self._armed = armed or ActiveSaboteurs()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the processes that it can observe."""
        return tuple(self._pids)

    def pid(self, name: str) -> int:
        """The process id. Raises NotProvable when nobody started such a process here."""
        if name not in self._pids:
            known = ", ".join(self._pids) or "none, the system was started by somebody else"
            raise NotProvable(f"no process {name} to look at; known: {known}")
        return self._pids[name]

    def alive(self, name: str) -> bool:
        """Whether the process exists and is no zombie."""
        return bool(self._record_observation(name, "alive", _exists(self.pid(name))))

    def exists(self, pid: int) -> bool:
        """Whether there is a process of that id which is no zombie."""
        ref = f"pid {pid}"
        read = self._witness.pass_on("process", ref, {"exists": _exists(pid)})
        self._witness("process", ref, {"pid": pid, **read})
        return bool(read["exists"])

    def tree(self, pid: int) -> list[int]:
        """Process ids of the process and all its descendants, itself first."""
        ref = f"tree of {pid}"
        read = self._witness.pass_on("process", ref, {"tree": [each.pid for each in _tree(pid)]})
        self._witness("process", ref, {"pid": pid, **read})
        return list(read["tree"])

    def sockets(self, name: str) -> list[Socket]:
        """Listening TCP sockets of the process and all its descendants, sorted."""
        found = sorted(
            Socket(each.laddr.ip, each.laddr.port, process.pid)
            for process in _tree(self.pid(name))
            for each in process.net_connections(kind="tcp")
            if each.status == psutil.CONN_LISTEN
        )
        read = self._record_observation(name, "sockets", [asdict(each) for each in found])
        return [Socket(**each) for each in read]

    def threads(self, name: str) -> int:
        """The number of threads of the process itself."""
        found = psutil.Process(self.pid(name)).num_threads()
        return int(self._record_observation(name, "threads", found))

    def memory(self, name: str) -> int:
        """Resident bytes of the process itself."""
        found = psutil.Process(self.pid(name)).memory_info().rss
        return int(self._record_observation(name, "memory", found))

    def environ(self, name: str) -> dict[str, str]:
        """The environment at the start of the process, from the process table."""
        found = psutil.Process(self.pid(name)).environ()
        read: dict[str, str] = self._pass_on(name, "environ", found)
        self._record(name, "environ", dict(hide_secrets(read.items())))
        return read

    def children(self, name: str) -> list[int]:
        """Process ids of all its descendants, sorted."""
        found = sorted(child.pid for child in _tree(self.pid(name))[1:])
        return list(self._record_observation(name, "children", list(found)))

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stdin: str = "",
        deadline_s: float = RUN_S,
    ) -> Exit:
        """Run the command; ``env`` is its whole environment, None means ours.

        Its process group ends with it. Raises subprocess.TimeoutExpired when ``deadline_s`` seconds
        have passed as Patience counts them; the journal records that too.
        """
        begun = self._armed.process(Process(name="command", command=tuple(argv), env=env or {}))
        with subprocess.Popen(  # noqa: S603  # the test author's own command, no shell
            begun.command, env=begun.env if env is not None else None, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            encoding="utf-8", errors="backslashreplace",
        ) as command:  # fmt: skip
            try:
                out, err = wait_in_turns(partial(_communicate, command, stdin), deadline_s)
            except subprocess.TimeoutExpired:
                facts = {"argv": _harmless(argv), "timedOutAfterS": deadline_s}
                self._witness("process", f"run {facts['argv']}", facts, empty=True)
                raise
            finally:
                end_groups([command.pid], grace_s=0)
        read = {"code": command.returncode, "stdout": out, "stderr": err}
        ended = Exit(**self._witness.pass_on("process", f"run {_harmless(argv)}", read))
        self._record_command(argv, env or {}, ended)
        return ended

    def _record_command(self, argv: Sequence[str], env: Mapping[str, str], ended: Exit) -> None:
        printed = without_password(f"{ended.stdout}\n{ended.stderr}").encode()
        facts: dict[str, Json] = {
            "argv": _harmless(argv),
            "env": dict(hide_secrets(env.items())),
            "exitCode": ended.code,
            "outputSha256": fingerprint(printed),
        }
        self._witness("process", f"run {facts['argv']}", facts, body=printed)

    def _record_observation(self, name: str, what: str, value: Any) -> Any:
        """The value as the test gets it, on record."""
        read = self._pass_on(name, what, value)
        self._record(name, what, read)
        return read

    def _pass_on(self, name: str, what: str, value: Any) -> Any:
        return self._witness.pass_on("process", f"{name}.{what}", {what: value})[what]

    def _record(self, name: str, what: str, value: Json) -> None:
        facts: dict[str, Json] = {"process": name, "pid": self._pids[name], what: value}
        self._witness("process", f"{name}.{what}", facts)


def _harmless(argv: Sequence[str]) -> list[Json]:
    return [without_password(part) for part in argv]


def _communicate(command: subprocess.Popen[str], stdin: str, timeout: float) -> tuple[str, str]:
    """The command's output on both streams; a repeated call loses nothing."""
    return command.communicate(stdin, timeout=timeout)


def _tree(pid: int) -> list[psutil.Process]:
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def _exists(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
