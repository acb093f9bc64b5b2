"""A sandbox that runs nothing: the first word of the command decides how it ends."""

from __future__ import annotations

import re
from typing import Final

from engine.core.artifacts import NO_ERROR
from engine.core.budgets import MIB, MINUTE_MS
from engine.core.plans import Task
from engine.core.results import Result

REF: Final = "mock-runner"
METRICS: Final = {"cpuMs": 1, "memPeakMB": 1}
FLAKY_UNTIL: Final = 3


class Mock:
    """Deterministic in the command and the attempt, whichever process runs it."""

    name = "mock"
    version = "none"

    async def run(self, task: Task, attempt: int) -> Result:
        """The tabled end of the command; what is not in the table succeeds.

        Words like ``minutes=2`` and ``mb=3`` say what it claims to have cost.
        """
        code = _code(task.cmd.split(maxsplit=1)[0], attempt)
        succeeded = code == NO_ERROR
        said = f"OK: {task.cmd}\n" if succeeded else ""
        files = {"out.json": "{}"} if succeeded else {}
        padded = _read_claim(task, "mb") * MIB - sum(map(len, files.values()))
        return Result(
            task_key=task.key,
            attempt=attempt,
            err_code=code,
            exit=0 if succeeded else 1,
            stdout=said.ljust(padded, "."),
            stderr="" if succeeded else f"mock: {code}\n",
            files=files,
            metrics={**METRICS, "wallMs": _read_claim(task, "minutes") * MINUTE_MS or 1},
            sandbox_ref=REF,
        )


def _read_claim(task: Task, what: str) -> int:
    found = re.search(rf"\b{what}=(\d{{1,3}})\b", task.cmd)
    return int(found[1]) if found else 0


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
