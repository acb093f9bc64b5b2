from __future__ import annotations

from typing import Any

import pytest

from engine.core import results
from engine.core.artifacts import NO_ERROR
from engine.core.results import Result


def make_result(key: str, err_code: str = NO_ERROR, **more: Any) -> dict[str, Any]:
    metrics = {"wallMs": 10, "cpuMs": 4, "memPeakMB": 2}
    told: dict[str, Any] = {
        "task_key": key, "attempt": 1, "err_code": err_code, "exit": 0, "stdout": f"out {key}",
        "stderr": "", "files": {}, "metrics": metrics, "sandbox_ref": "box", **more,
    }  # fmt: skip
    return Result(**told).document


@pytest.mark.parametrize("code", ["BOOT_FAIL", "NET_FAIL", "UPLOAD_FAIL", "DOWNLOAD_FAIL"])
def test_what_failed_before_the_command_may_be_tried_again(code: str) -> None:
    assert results.is_infrastructure(code)


@pytest.mark.parametrize("code", [NO_ERROR, "CMD_NONZERO", "TIMEOUT", "OOM", "UNSUPPORTED", ""])
def test_what_the_command_did_may_not(code: str) -> None:
    assert not results.is_infrastructure(code)


def test_the_first_failure_speaks_for_all_and_every_task_is_listed() -> None:
    tasks = [
        make_result("a", metrics={"wallMs": 5, "cpuMs": 1, "memPeakMB": 9}),
        make_result("b", "TIMEOUT", exit=124, attempt=3),
        make_result("c", "OOM", exit=137),
    ]

    one = results.merge_results(tasks)

    assert (one["errCode"], one["exit"], one["attempt"]) == ("TIMEOUT", 124, 3)
    assert one["stdout"] == "out a\n---\nout b\n---\nout c"
    assert one["metrics"] == {"wallMs": 10, "cpuMs": 9, "memPeakMB": 9, "billedMinutes": 3}
    assert one["tasks"] == [
        {"taskKey": "a", "errCode": NO_ERROR, "attempt": 1},
        {"taskKey": "b", "errCode": "TIMEOUT", "attempt": 3},
        {"taskKey": "c", "errCode": "OOM", "attempt": 1},
    ]


def test_without_a_failure_the_first_task_speaks() -> None:
    assert (
        results.merge_results([make_result("a", exit=0), make_result("b")])["errCode"] == NO_ERROR
    )
