"""A sandbox on a machine that a provider boots for one command, by the provider's own SDK.

The SDKs are optional. A missing SDK is a failure of its provider; no other provider replaces it.
"""

from __future__ import annotations

import importlib
import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Protocol

from engine.core import results
from engine.core.plans import Task
from engine.core.results import Result
from engine.ports.supervisor.streams import Stream

log = logging.getLogger(__name__)


class Machine(Protocol):
    """One booted machine, for one command."""

    async def shell(self, cmd: str, env: dict[str, str], out: Stream, err: Stream) -> int:
        """The exit code, once all that it wrote was taken. Raises TimeoutError at its wall time."""
        ...

    async def end(self) -> None:
        """There is no such machine any more."""
        ...


class Host(Protocol):
    """A provider of machines; ``name`` is also that of its package and of our extra."""

    @property
    def name(self) -> str:
        """The provider, as the rows say it."""
        ...

    async def machine(self, sdk: Any) -> Machine:
        """A machine just booted, by its SDK. Raises whatever the SDK does."""
        ...

    def lacks(self) -> str | None:
        """What is missing before the provider can be asked; None if nothing is."""
        ...


@dataclass(frozen=True, slots=True)
class Hosted:
    """The sandbox that is ``host``."""

    host: Host

    @property
    def name(self) -> str:
        """The provider, as the rows say it."""
        return self.host.name

    @property
    def version(self) -> str:
        """Of the SDK that is installed."""
        with suppress(metadata.PackageNotFoundError):
            return metadata.version(self.name)
        return "not installed"

    async def run(self, task: Task, attempt: int) -> Result:
        """Run the command there. A failure before or around it is a result too."""
        try:
            machine = await self._machine()
        except Exception as error:  # noqa: BLE001  # an SDK raises what its transports raise
            return self._make_lost_result(task, attempt, error)
        try:
            return await self._run_command(machine, task, attempt)
        except Exception as error:  # noqa: BLE001  # likewise
            return self._make_lost_result(task, attempt, error)
        finally:
            await self._end_machine(machine)

    async def _end_machine(self, machine: Machine) -> None:
        try:
            await machine.end()
        except Exception as error:  # noqa: BLE001  # likewise
            log.warning("%s: a machine ends by itself at its wall time: %s", self.name, error)

    async def _machine(self) -> Machine:
        if lacks := self.host.lacks():
            raise LookupError(lacks)
        try:
            sdk = importlib.import_module(self.name)
        except ImportError as error:
            raise LookupError(f"its SDK is missing: pytest-spec11[{self.name}]") from error
        return await self.host.machine(sdk)

    async def _run_command(self, machine: Machine, task: Task, attempt: int) -> Result:
        out, err, begun = Stream(), Stream(), time.monotonic()
        env = {"SPEC11_TASK": task.key, "SPEC11_ATTEMPT": str(attempt)}
        try:
            code = await machine.shell(task.cmd, env, out, err)
            err_code = results.classify_exit(code, err.text)
        except TimeoutError:
            code, err_code = 1, results.TIMEOUT
        return Result(
            task_key=task.key,
            attempt=attempt,
            err_code=err_code,
            exit=code,
            stdout=out.text,
            stderr=err.text,
            files={},
            metrics={
                "wallMs": round((time.monotonic() - begun) * 1000),
                "cpuMs": 0,
                "memPeakMB": 0,
                "stdoutBytes": out.size,
                "stderrBytes": err.size,
                "truncated": int(out.is_truncated or err.is_truncated),
            },
            sandbox_ref=self.name,
        )

    def _make_lost_result(self, task: Task, attempt: int, error: Exception) -> Result:
        """The result of an infrastructure failure: no start, or an unknown end."""
        told = " ".join(str(error).split()) or type(error).__name__
        code = results.classify_error(told, results.BOOT)
        code = code if results.is_infrastructure(code) else results.BOOT
        return results.make_lost_result(task.key, attempt, code, f"{self.name}: {told}")
