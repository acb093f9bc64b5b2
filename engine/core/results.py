"""What came of the tasks of a run, and how many become one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from engine.core import budgets
from engine.core.artifacts import NO_ERROR
from engine.core.canon import Json

INFRASTRUCTURE: Final = frozenset({"BOOT_FAIL", "NET_FAIL", "UPLOAD_FAIL", "DOWNLOAD_FAIL"})
BETWEEN: Final = "\n---\n"
ATTEMPTS: Final = 3
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
    def budget_metrics(self) -> dict[str, int]:
        """The metrics of the provider, and what follows from them for a budget."""
        wrote = (
            max(_bytes(self.stdout), self.metrics.get("stdoutBytes", 0)),
            max(_bytes(self.stderr), self.metrics.get("stderrBytes", 0)),
            *map(_bytes, self.files.values()),
        )
        minutes = budgets.billed_minutes(self.metrics["wallMs"])
        return {
            "billedMinutes": minutes, "outputBytes": sum(wrote), "cutBytes": 0, **self.metrics,
        }  # fmt: skip

    @property
    def raw(self) -> dict[str, Json]:
        """The result without its output, which has artifacts of its own."""
        left_out = {"stdout", "stderr", "filesOut"}
        return {name: value for name, value in self.document.items() if name not in left_out}

    def cut(self, most_bytes: int) -> Self:
        """The same with so many bytes of output at most: errors first, files last."""
        held = (self.stderr, self.stdout, *self.files.values())
        left, kept = most_bytes, list[str]()
        for text in held:
            kept.append(text.encode()[:left].decode(errors="ignore"))
            left -= _bytes(kept[-1])
        stderr, stdout, *files = kept
        cut_bytes = sum(map(_bytes, held)) - sum(map(_bytes, kept))
        return replace(
            self,
            stderr=stderr,
            stdout=stdout,
            files=dict(zip(self.files, files, strict=True)),
            metrics={**self.budget_metrics, "cutBytes": cut_bytes},
        )

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
            "metrics": {**self.budget_metrics},
            "sandboxRef": self.sandbox_ref,
        }


def _bytes(text: str) -> int:
    return len(text.encode())


def cut_short(task_key: str, attempt: int, sandbox: str, wall_ms: int) -> Result:
    """An attempt that its run's budget left no more time for."""
    return Result(
        task_key=task_key,
        attempt=attempt,
        err_code=TIMEOUT,
        exit=1,
        stdout="",
        stderr="stopped: the budget of the run leaves no more time\n",
        files={},
        metrics={"wallMs": wall_ms, "cpuMs": 0, "memPeakMB": 0},
        sandbox_ref=sandbox,
    )


def retries(err_code: str, attempt: int) -> int:
    """How many retries the task needs that ended so: those made, and the one that would follow."""
    goes_on = is_infrastructure(err_code) and attempt < ATTEMPTS
    return attempt if goes_on else attempt - 1


def make_lost_result(task_key: str, attempt: int, err_code: str, why: str) -> Result:
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


def classify_error(told: str, otherwise: str) -> str:
    """The class that ``told``, an error's text, names by whole tokens: "room" is no "oom" (B65)."""
    found = (code for code, pattern in _SPOKEN.items() if pattern.search(told))
    return next(found, otherwise)


def classify_exit(exit_code: int, stderr: str) -> str:
    """The class of a command that ran to its end, by what it said of it."""
    return NO_ERROR if exit_code == 0 else classify_error(stderr, NONZERO)


def is_infrastructure(err_code: str) -> bool:
    """Whether another attempt may help: the command itself never had its chance."""
    return err_code in INFRASTRUCTURE


def attempts(results: Sequence[Mapping[str, Any]]) -> int:
    """How many times the task was tried that was tried the most."""
    return max(int(each["attempt"]) for each in results)


def merge_results(results: Sequence[dict[str, Any]]) -> dict[str, Json]:
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
            "billedMinutes": sum(each["metrics"]["billedMinutes"] for each in results),
        },
        "tasks": [
            {"taskKey": each["taskKey"], "errCode": each["errCode"], "attempt": each["attempt"]}
            for each in results
        ],
    }
