"""What came of the tasks of a run, and how many become one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from engine.core.artifacts import NO_ERROR
from engine.core.canon import Json

INFRASTRUCTURE: Final = frozenset({"BOOT_FAIL", "NET_FAIL", "UPLOAD_FAIL", "DOWNLOAD_FAIL"})
BETWEEN: Final = "\n---\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How one attempt of a task ended. ``metrics``: wallMs, cpuMs, memPeakMB."""

    task_key: str
    attempt: int
    err_code: str
    exit: int
    stdout: str
    stderr: str
    files: dict[str, str]  # path: text
    metrics: dict[str, int]
    sandbox_ref: str

    @property
    def document(self) -> dict[str, Json]:
        """The result as it is stored and handed to the run that waits for it."""
        return {
            "taskKey": self.task_key,
            "attempt": self.attempt,
            "errCode": self.err_code,
            "exit": self.exit,
            "stdout": self.stdout,
            "stderr": self.stderr,
            "filesOut": {**self.files},
            "metrics": {**self.metrics},
            "sandboxRef": self.sandbox_ref,
        }


def is_infrastructure(err_code: str) -> bool:
    """Whether another attempt may help: the command itself never had its chance."""
    return err_code in INFRASTRUCTURE


def merged(results: Sequence[dict[str, Any]]) -> dict[str, Json]:
    """One result of all tasks, in their order: the first failure speaks for them."""
    failed = [each for each in results if each["errCode"] != NO_ERROR]
    first = (failed or list(results))[0]
    return {
        "errCode": first["errCode"],
        "exit": first["exit"],
        "attempt": max(each["attempt"] for each in results),
        "stdout": BETWEEN.join(each["stdout"] for each in results),
        "stderr": BETWEEN.join(each["stderr"] for each in results),
        "metrics": {
            "wallMs": max(each["metrics"]["wallMs"] for each in results),
            "cpuMs": sum(each["metrics"]["cpuMs"] for each in results),
            "memPeakMB": max(each["metrics"]["memPeakMB"] for each in results),
        },
        "tasks": [
            {"taskKey": each["taskKey"], "errCode": each["errCode"], "attempt": each["attempt"]}
            for each in results
        ],
    }
