"""Processes that die at a named crash point, and their runs."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import httpx

from pytest_spec11.oracles.http import Reply
from pytest_spec11.stacks import Control, Stack
from pytest_spec11.target import Process
from pytest_spec11.waiting import eventually
from scenarios.support.contract.headers import TERMINAL
from scenarios.support.contract.start_requests import reply

DIES_S = 30.0
ENDS_S = 60.0
UNFINISHED = "SELECT count(*) FROM dbos.workflow_status WHERE status IN ('PENDING', 'ENQUEUED')"
ENDED = "SELECT status FROM dbos.workflow_status WHERE workflow_uuid = %(w)s"


def arm_process(process: Process, point: str, **env: str) -> Process:
    """A copy of ``process`` that dies at ``point``, under a name of its own."""
    return process.using({"SPEC11_CRASH_AT": point, **env}, name=f"armed-{point}".replace(".", "-"))


def await_death(control: Control) -> None:
    """Wait until the armed process died by SIGKILL: the fault hit."""
    assert control.wait_exit(deadline_s=DIES_S) == -signal.SIGKILL


def over_work(stack: Stack) -> int:
    """The unfinished work after a death; a death without unfinished work does not count."""
    left: int = stack.sys_sql.value(UNFINISHED)
    assert left > 0
    return left


def cut_off(ask: Callable[[], Reply]) -> None:
    """Send a request and check that it gets no answer, because the process dies."""
    try:
        answer = ask()
    except httpx.HTTPError:
        return
    raise AssertionError(f"answered {answer.status}, so the process did not die under it")


def answer_open_gates(stack: Stack, wid: str, choice: str = "yes") -> dict[str, Any]:
    """Answer the run's open gates, if any, like a client that repeats; return the header."""
    header: dict[str, Any] = stack.api.get(f"/api/runs/{wid}").json()
    if header["status"] == "WAITING_INPUT":
        for gate in stack.api.get(f"/api/runs/{wid}/gates").json():
            if gate["state"] == "PENDING":
                path = f"/api/runs/{wid}/gates/{gate['gateKey']}/reply"
                stack.api.post(path, json=reply(choice))
    return header


def await_end(stack: Stack, wid: str, choice: str = "yes") -> dict[str, Any]:
    """Wait until the run and its workflow have ended; return the header."""
    header = eventually(
        lambda: answer_open_gates(stack, wid, choice),
        deadline_s=ENDS_S,
        until=lambda seen: seen["status"] in TERMINAL,
    )
    eventually(
        lambda: stack.sys_sql.value(ENDED, w=header["executionID"]),
        deadline_s=ENDS_S,
        until=lambda word: word in TERMINAL,
    )
    return header
