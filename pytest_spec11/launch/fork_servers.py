"""Processes that a fork server starts. They share the loaded program and nothing else.

A target names the server (:class:`pytest_spec11.target.ForkServer`); docs/prover.md says what it
must answer. Its standard input is one end of a socket pair, which carries one question and one
answer at a time.
"""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from pytest_spec11.errors import TargetFailed
from pytest_spec11.launch.reaper import Reaper
from pytest_spec11.target import ForkServer

LARGEST: Final = 1 << 20  # of a message
STOP_S: Final = 15.0


class Forked:
    """A forked process, with the methods of Popen that :class:`Running` uses."""

    def __init__(self, pid: int, server: _Server) -> None:
        self.pid = pid
        self._server = server
        self._pidfd = os.pidfd_open(pid)  # nobody else gets the id before we reap it
        self._code: int | None = None
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._code if self._code is not None else self._look(0)

    def wait(self, timeout: float) -> int:
        """The exit code. Raises subprocess.TimeoutExpired after ``timeout`` seconds."""
        code = self._code if self._code is not None else self._look(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(f"pid {self.pid}", timeout)
        return code

    def _look(self, timeout: float) -> int | None:
        with self._lock:
            if self._code is None and self._has_ended(timeout):
                self._code = int(self._server.ask({"reap": self.pid})["code"])
                os.close(self._pidfd)
            return self._code

    def _has_ended(self, timeout: float) -> bool:
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        return bool(poll.poll(timeout * 1000))


class ForkServers:
    """The fork servers of one owner of processes; each starts at its first use."""

    def __init__(self, logs: Path, reaper: Reaper) -> None:
        self._logs = logs
        self._reaper = reaper
        self._started: dict[tuple[str, ...], _Server] = {}
        self._lock = threading.Lock()

    def begin(self, servers: Iterable[ForkServer]) -> None:
        """Start each of them; do not wait until they have loaded."""
        for server in servers:
            self._running(server)

    def start(
        self, server: ForkServer, command: Sequence[str], env: Mapping[str, str], output: int
    ) -> Forked:
        """Fork the process of ``command`` from its server. Raises TargetFailed."""
        running = self._running(server)
        words = list(command[len(server.program) :])
        asked = {"start": words, "env": dict(env), "cwd": str(Path.cwd())}
        return Forked(int(running.ask(asked, output)["pid"]), running)

    def _running(self, server: ForkServer) -> _Server:
        with self._lock:
            running = self._started.get(server.command)
            if running is None:
                log = self._logs / f"fork-server-{len(self._started)}.log"
                running = self._started[server.command] = _Server(server, log, self._reaper)
            return running

    def close(self) -> None:
        """End all servers."""
        with ExitStack() as steps:
            while self._started:
                steps.callback(self._started.popitem()[1].close)


class _Server:
    """One running fork server."""

    def __init__(self, server: ForkServer, log: Path, reaper: Reaper) -> None:
        self._reaper = reaper
        self._lock = threading.Lock()
        self._log = log
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ours.settimeout(server.deadline_s)
        log.parent.mkdir(parents=True, exist_ok=True)
        with theirs, log.open("ab") as output:
            self._popen = subprocess.Popen(  # noqa: S603  # the target's own command, no shell
                server.command,
                env=dict(server.env),
                stdin=theirs.fileno(),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        reaper.tell("group", self._popen.pid)

    def ask(self, message: Mapping[str, Any], *descriptors: int) -> dict[str, Any]:
        """The server's answer. Raises TargetFailed when there is none, or it is a refusal."""
        with self._lock:
            try:
                socket.send_fds(self._ours, [json.dumps(message).encode()], descriptors)
                data = self._ours.recv(LARGEST)
            except OSError as error:
                raise TargetFailed(
                    f"the fork server does not answer: {error}{self._read_log()}"
                ) from error
        if not data:
            raise TargetFailed(f"the fork server has ended{self._read_log()}")
        answer: dict[str, Any] = json.loads(data)
        if "error" in answer:
            raise TargetFailed(f"the fork server cannot start it: {answer['error']}")
        return answer

    def close(self) -> None:
        """Close its input and wait for its end; use force if that takes too long."""
        self._ours.close()
        try:
            self._popen.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait(STOP_S)
        self._reaper.tell("gone", self._popen.pid)

    def _read_log(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()[-20:]
        return "".join(f"\n    {line}" for line in (f"end of {self._log}:", *lines))
