"""Providers over their SDKs: doubles of the SDKs, shaped as the real ones are."""

from __future__ import annotations

import asyncio
import sys
from enum import StrEnum
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from engine.core.plans import Task
from engine.core.results import Result
from engine.ports.sbx.e2b import E2b
from engine.ports.sbx.hosted import Host, Hosted
from engine.ports.sbx.microsandbox import Microsandbox
from engine.ports.supervisor.streams import MOST_KEPT

KEY = "e2b_0123456789abcdef"
ENV = {"SPEC11_TASK": "key", "SPEC11_ATTEMPT": "1"}
HOSTS: dict[str, Host] = {
    "e2b": E2b(key=KEY, template=None, wall_ms=5000, net=False),
    "microsandbox": Microsandbox(image="alpine", memory_mb=256, wall_ms=5000, net=False),
}


class CommandExitError(Exception):
    def __init__(self, exit_code: int) -> None:
        super().__init__("Command exited")
        self.exit_code = exit_code


class LateError(Exception):
    pass


class Kind(StrEnum):
    STDOUT = "stdout"
    STDERR = "stderr"
    EXITED = "exited"


class Double:
    """Both SDKs at once: what a command says and how it ends is given by ``script``."""

    def __init__(self) -> None:
        self.script: list[tuple[str, str]] = []
        self.exit: int | Exception = 0
        self.boot: Exception | None = None
        self.asked: dict[str, Any] = {}
        self.ended = 0
        self.commands = self

    async def create(self, *_: Any, **asked: Any) -> Double:
        self.asked |= asked
        if self.boot:
            raise self.boot
        return self

    async def kill(self) -> None:
        self.ended += 1

    async def run(self, cmd: str, **asked: Any) -> Any:
        self.asked |= {"cmd": cmd, **asked}
        for stream, text in self.script:
            asked[f"on_{stream}"](text)
        if isinstance(self.exit, Exception):
            raise self.exit
        if self.exit:
            raise CommandExitError(self.exit)
        return SimpleNamespace(exit_code=0)

    async def shell_stream(self, cmd: str, **asked: Any) -> Double:
        self.asked |= {"cmd": cmd, **asked}
        self._left = iter([*self.script, ("exited", "")])
        return self

    async def recv(self) -> Any:
        kind, text = next(self._left)
        if kind == "exited" and isinstance(self.exit, Exception):
            raise self.exit
        return SimpleNamespace(event_type=Kind(kind), data=text.encode(), code=self.exit)


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> Double:
    """What imports as either SDK."""
    made = Double()
    e2b, micro = ModuleType("e2b"), ModuleType("microsandbox")
    vars(e2b).update(
        AsyncSandbox=made, CommandExitException=CommandExitError, TimeoutException=LateError
    )
    vars(micro).update(
        Sandbox=made,
        ExecEventType=Kind,
        ExecTimeoutError=LateError,
        Network=SimpleNamespace(none=lambda: "no network"),
    )
    monkeypatch.setitem(sys.modules, "e2b", e2b)
    monkeypatch.setitem(sys.modules, "microsandbox", micro)
    return made


def run_hosted(name: str) -> Result:
    return asyncio.run(Hosted(HOSTS[name]).run(Task(key="key", cmd="echo hi"), 1))


@pytest.mark.parametrize("name", HOSTS)
def test_a_command_there_is_told_as_it_was(double: Double, name: str) -> None:
    double.script = [("stdout", "hi\n"), ("stderr", "warned\n"), ("stdout", "bye\n")]

    ended = run_hosted(name)

    assert (ended.err_code, ended.exit) == ("NONE", 0)
    assert (ended.stdout, ended.stderr, ended.sandbox_ref) == ("hi\nbye\n", "warned\n", name)
    assert (double.asked["cmd"], double.ended) == ("echo hi", 1)
    assert double.asked["envs" if name == "e2b" else "env"] == ENV


@pytest.mark.parametrize("name", HOSTS)
def test_a_failing_command_is_classified_by_what_it_said(double: Double, name: str) -> None:
    double.script, double.exit = [("stderr", "Out of memory\n")], 137

    ended = run_hosted(name)

    assert (ended.err_code, ended.exit, double.ended) == ("OOM", 137, 1)


@pytest.mark.parametrize("name", HOSTS)
def test_its_wall_time_is_a_class_of_its_own(double: Double, name: str) -> None:
    double.exit = LateError("deadline")

    assert (run_hosted(name).err_code, double.ended) == ("TIMEOUT", 1)


@pytest.mark.parametrize("name", HOSTS)
def test_a_machine_that_is_lost_is_infrastructure(double: Double, name: str) -> None:
    double.exit = ConnectionError("socket hang up")

    ended = run_hosted(name)

    assert (ended.err_code, ended.stderr, double.ended) == (
        *("NET_FAIL", f"{name}: socket hang up\n"),
        1,
    )


@pytest.mark.parametrize("name", HOSTS)
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RuntimeError("401: invalid key"), "BOOT_FAIL"),
        (RuntimeError("getaddrinfo ENOTFOUND api"), "NET_FAIL"),
        (RuntimeError("Request timed out"), "BOOT_FAIL"),
        (RuntimeError(), "BOOT_FAIL"),
    ],
)
def test_a_machine_that_does_not_boot_is_infrastructure(
    double: Double, name: str, error: Exception, code: str
) -> None:
    double.boot = error

    ended = run_hosted(name)

    assert (ended.err_code, ended.sandbox_ref, double.ended) == (code, "none", 0)
    assert ended.stderr.startswith(f"{name}: ")


@pytest.mark.parametrize("name", HOSTS)
def test_output_is_kept_in_part_and_counted_in_full(double: Double, name: str) -> None:
    double.script = [("stdout", "x" * 200_000)] * 3

    ended = run_hosted(name)

    assert ended.stdout == "x" * MOST_KEPT
    assert (ended.metrics["stdoutBytes"], ended.metrics["truncated"]) == (600_000, 1)


def test_the_network_is_off_unless_it_is_asked_for(double: Double) -> None:
    run_hosted("e2b")
    run_hosted("microsandbox")

    assert (double.asked["allow_internet_access"], double.asked["network"]) == (False, "no network")


def test_a_key_is_shown_nowhere(double: Double) -> None:
    double.boot = RuntimeError("refused")

    assert double.asked == {}
    assert KEY not in repr(HOSTS["e2b"]) + repr(run_hosted("e2b"))
    assert double.asked["api_key"] == KEY


@pytest.mark.parametrize("name", HOSTS)
def test_an_sdk_that_is_missing_is_a_failure_of_its_provider(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setitem(sys.modules, name, None)  # as if it were not installed

    ended = run_hosted(name)

    assert ended.err_code == "BOOT_FAIL"
    assert ended.stderr == f"{name}: its SDK is missing: pytest-spec11[{name}]\n"
