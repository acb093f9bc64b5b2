"""What came of the tasks of a run, and how many become one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from engine.core.artifacts import NO_ERROR
from engine.core.canon import Json

INFRASTRUCTURE: Final = frozenset({"BOOT_FAIL", "NET_FAIL", "UPLOAD_FAIL", "DOWNLOAD_FAIL"})
BETWEEN: Final = "\n---\n"
NONZERO: Final = "CMD_NONZERO"
BOOT: Final = "BOOT_FAIL"
TIMEOUT: Final = "TIMEOUT"
MEMORY: Final = "OOM"
SPOKEN: Final[Mapping[str, tuple[str, ...]]] = {  # what is said of each, the first that fits counts
    TIMEOUT: ("timeout", "timed out", "etimedout", "deadline exceeded"),
    MEMORY: (
        *("out of memory", "oom", "killed process"),
        *("cannot allocate memory", "memory exhausted", "memoryerror"),
    ),
    "NET_FAIL": (
        *("enotfound", "econnrefused", "econnreset"),
        *("network", "dns", "socket hang up"),
    ),
    "UPLOAD_FAIL": ("upload", "write file", "filesin"),
    "DOWNLOAD_FAIL": ("download", "read file", "filesout"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How one attempt of a task ended.

    ``metrics``: wallMs, cpuMs, memPeakMB; of a real command also stdoutBytes and stderrBytes, all
    that it wrote, and truncated, 1 when less than that was kept.
    """

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


def lost(task_key: str, attempt: int, err_code: str, why: str) -> Result:
    """The result of a command that the sandbox never began, or lost; ``why`` begins with whose."""
    return Result(
        task_key=task_key,
        attempt=attempt,
        err_code=err_code,
        exit=1,
        stdout="",
        stderr=f"{why}\n",
        files={},
        metrics={"wallMs": 0, "cpuMs": 0, "memPeakMB": 0},
        sandbox_ref="none",
    )


def _pattern(phrases: Sequence[str]) -> re.Pattern[str]:
    r"""Any of the phrases as whole tokens: a token is a run of ``\w``, space lies between two."""
    spaced = (re.escape(each).replace(r"\ ", r"\s+") for each in phrases)
    return re.compile(rf"(?<!\w)(?:{'|'.join(spaced)})(?!\w)", re.IGNORECASE)


_SPOKEN: Final = {code: _pattern(phrases) for code, phrases in SPOKEN.items()}


def spoken(told: str, otherwise: str) -> str:
    """The class that ``told``, an error's text, names by whole tokens: "room" is no "oom" (B65)."""
    found = (code for code, pattern in _SPOKEN.items() if pattern.search(told))
    return next(found, otherwise)


def classified(exit_code: int, stderr: str) -> str:
    """The class of a command that ran to its end, by what it said of it."""
    return NO_ERROR if exit_code == 0 else spoken(stderr, NONZERO)


def is_infrastructure(err_code: str) -> bool:
    """Whether another attempt may help: the command itself never had its chance."""
    return err_code in INFRASTRUCTURE


def attempts(results: Sequence[Mapping[str, Any]]) -> int:
    """How many times the task was tried that was tried the most."""
    return max(int(each["attempt"]) for each in results)


def merged(results: Sequence[dict[str, Any]]) -> dict[str, Json]:
    """One result of all tasks, in their order: the first failure speaks for them."""
    failed = [each for each in results if each["errCode"] != NO_ERROR]
    first = (failed or list(results))[0]
    return {
        "errCode": first["errCode"],
        "exit": first["exit"],
        "attempt": attempts(results),
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
