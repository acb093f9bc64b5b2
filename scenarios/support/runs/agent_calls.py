"""The calls of a run to agents, from the ledger, and the state of the run after them."""

from __future__ import annotations

from typing import Any

from pytest_spec11.oracles.sql import Row
from pytest_spec11.stacks import Stack
from pytest_spec11.waiting import eventually
from scenarios.support.contract import identity
from scenarios.support.runs.gates import start_run
from scenarios.support.runs.run_lifecycle import await_status

ANSWERED = frozenset({"WAITING_INPUT", "ERROR"})
END_S = 60.0  # a real server's first answer takes seconds even on an idle machine
CALLS = """
SELECT id, step_id, agent, attempt, served_by, session_id, server_version, error, tool_calls,
       structured
FROM app.opencode_calls WHERE run_id = %(r)s ORDER BY id
"""


def calls(stack: Stack, wid: str) -> list[Row]:
    """Every call of the run, in order."""
    return stack.app_sql.rows(CALLS, r=identity.run_id(wid))


def await_plan(stack: Stack, goal: str) -> dict[str, Any]:
    """Start a run and wait until its plan needs approval or the run failed; return the header."""
    return await_status(stack.api, start_run(stack.api, goal), ANSWERED, deadline_s=END_S)


def retry_until_planned(stack: Stack, wid: str) -> dict[str, Any]:
    """Repair a failed run and wait for its plan or failure; return the header."""
    before = stack.api.get(f"/api/runs/{wid}").json()["retryCount"]
    assert stack.api.request("POST", f"/api/runs/{wid}/retry").status == 202

    def header() -> dict[str, Any]:
        read: dict[str, Any] = stack.api.get(f"/api/runs/{wid}").json()
        return read

    return eventually(
        header,
        deadline_s=END_S,
        until=lambda seen: seen["retryCount"] > before and seen["status"] in ANSWERED,
    )


def title(wid: str, step: str = "CompileST", attempt: int = 1) -> str:
    """The title of the run's session for that step."""
    return f"{identity.run_id(wid)} {step} {attempt}"
