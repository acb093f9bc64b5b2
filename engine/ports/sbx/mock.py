"""A sandbox that runs nothing: the first word of the command decides how it ends."""

from __future__ import annotations

from typing import Final

from engine.core.artifacts import NO_ERROR
from engine.core.plans import Task
from engine.core.results import Result

REF: Final = "mock-runner"
METRICS: Final = {"wallMs": 1, "cpuMs": 1, "memPeakMB": 1}
FLAKY_UNTIL: Final = 3


class Mock:
    """Deterministic in the command and the attempt, whichever process runs it."""

    name = "mock"
    version = "none"

    async def run(self, task: Task, attempt: int) -> Result:
        """The tabled end of the command; what is not in the table succeeds."""
        code = _code(task.cmd.split(maxsplit=1)[0], attempt)
        succeeded = code == NO_ERROR
        return Result(
            task_key=task.key,
            attempt=attempt,
            err_code=code,
            exit=0 if succeeded else 1,
            stdout=f"OK: {task.cmd}\n" if succeeded else "",
            stderr="" if succeeded else f"mock: {code}\n",
            files={"out.json": "{}"} if succeeded else {},
            metrics=METRICS,
            sandbox_ref=REF,
        )


def _code(word: str, attempt: int) -> str:
    match word:
        case "INFRA_FAIL":
            return "BOOT_FAIL"
        case "FLAKY_INFRA_FAIL":
            return "BOOT_FAIL" if attempt < FLAKY_UNTIL else NO_ERROR
        case "FAIL_ME":
            return "CMD_NONZERO"
        case "TIMEOUT_ME":
            return "TIMEOUT"
        case _:
            return NO_ERROR
