"""A sandbox on this machine: a shell runs the command under limits, and nothing of it stays.

Each attempt has a supervisor (``engine.ports.supervisor``): a process that owns the command and
ends with it or with us. Linux only.
"""

from __future__ import annotations

import asyncio
import json
import platform
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from engine.core import results
from engine.core.artifacts import NO_ERROR
from engine.core.plans import Task
from engine.core.results import Result
from engine.ports.supervisor.cage import Limits

T = TypeVar("T")
BEGIN: Final = (
    "import sys; sys.path.append(sys.argv[1]);"
    " from engine.ports.supervisor import keeping; keeping.main()"
)
ROOT: Final = Path(__file__).parents[3]
SLACK_S: Final = 20.0  # the time after the wall time in which command and supervisor must end
CLASSES: Final[Mapping[str, str]] = {
    "timeout": results.TIMEOUT,
    "cpu": results.TIMEOUT,
    "memory": results.MEMORY,
    "processes": results.NONZERO,
}
METRICS: Final = ("wallMs", "cpuMs", "memPeakMB", "stdoutBytes", "stderrBytes", "truncated")
OUT_OF_CPU: Final = 128 + 24  # SIGXCPU, as a shell tells it: the kernel counts in its own way
FULL: Final = 0.9  # of its memory: who could not get more tells it in words of their own


@dataclass(frozen=True, slots=True, kw_only=True)
class Local:
    """Commands of this machine. ``shared``: a directory that all may write; ``net``: may they talk.

    Their directories are made in ``base``, which is the system's own for such things when None.
    """

    limits: Limits
    base: Path | None = None
    shared: Path | None = None
    net: bool = False

    name = "local"

    @property
    def version(self) -> str:
        """What it really runs on."""
        return f"{platform.system()} {platform.release()}"

    async def run(self, task: Task, attempt: int) -> Result:
        """Run the command; return its result after all its processes have ended."""
        report = await self._report(task, attempt)
        if "boot" in report:
            return results.make_lost_result(
                task.key, attempt, results.BOOT, f"{self.name}: {report['boot']}"
            )
        return Result(
            task_key=task.key,
            attempt=attempt,
            err_code=self._class(report),
            exit=report["exit"],
            stdout=report["stdout"],
            stderr=report["stderr"] + self._note(report["why"]),
            files=report["files"],
            metrics={name: int(report[name]) for name in METRICS},
            sandbox_ref="+".join([self.name, *report["contained"]]),
        )

    def _class(self, report: Mapping[str, Any]) -> str:
        """The error class; the supervisor's measurements count before the command's output."""
        if report["why"] in CLASSES:
            return CLASSES[report["why"]]
        if report["exit"] == 0:
            return NO_ERROR
        if report["exit"] == OUT_OF_CPU:
            return results.TIMEOUT
        if report["memPeakMB"] >= FULL * self.limits.memory_mb:
            return results.MEMORY
        return results.classify_exit(report["exit"], report["stderr"])

    def _note(self, why: str) -> str:
        of = self.limits
        told = {
            "timeout": f"{of.wall_ms} ms of wall time",
            "cpu": f"{of.cpu_s} s of processor time",
            "memory": f"{of.memory_mb} MiB of memory",
            "processes": f"{of.processes} processes and threads",
        }
        return f"sandbox: stopped at {told[why]}\n" if why in told else ""

    async def _report(self, task: Task, attempt: int) -> dict[str, Any]:
        if platform.system() != "Linux":
            return {"boot": f"runs on Linux only, and this is {platform.system()}"}
        spec = {
            "cmd": task.cmd,
            "env": {"SPEC11_TASK": task.key, "SPEC11_ATTEMPT": str(attempt)},
            "limits": asdict(self.limits),
            "base": None if self.base is None else str(self.base),
            "shared": None if self.shared is None else str(self.shared),
            "net": self.net,
        }
        supervisor = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", "-c", BEGIN, str(ROOT)),
            stdin=PIPE, stdout=PIPE, stderr=PIPE, env={}, cwd="/", start_new_session=True,
        )  # fmt: skip
        try:
            async with asyncio.timeout(self.limits.wall_ms / 1000 + SLACK_S):
                return await _read_report(supervisor, json.dumps(spec).encode() + b"\n")
        except TimeoutError:
            return {"boot": "its supervisor did not answer in time"}
        finally:
            await _end_supervisor(supervisor)


async def _read_report(supervisor: Process, spec: bytes) -> dict[str, Any]:
    """The supervisor's report. Its standard input stays open, because its end stops everything."""
    hold = _require_pipe(supervisor.stdin)
    with suppress(ConnectionError):  # it has ended, and says why below
        hold.write(spec)
        await hold.drain()
    said, trouble = await asyncio.gather(
        _require_pipe(supervisor.stdout).read(), _require_pipe(supervisor.stderr).read()
    )
    try:
        report: dict[str, Any] = json.loads(said)
    except ValueError:
        last = trouble.decode(errors="replace").strip().rpartition("\n")[2]
        return {"boot": f"its supervisor ended without a word: {last}"}
    return report


async def _end_supervisor(supervisor: Process) -> None:
    """Wait until it has released everything and ended."""
    _require_pipe(supervisor.stdin).close()
    try:
        async with asyncio.timeout(SLACK_S):
            await supervisor.wait()
    finally:
        if supervisor.returncode is None:
            supervisor.kill()


def _require_pipe(stream: T | None) -> T:
    """The stream, which is there because a pipe was asked for."""
    if stream is None:
        raise RuntimeError("no pipe")
    return stream
