"""Runs with budgets: the budgets, the recorded costs, and the violations."""

from __future__ import annotations

from typing import Any

from pytest_spec11.oracles.sql import Row
from pytest_spec11.stacks import Stack
from pytest_spec11.waiting import eventually
from scenarios.support.contract import identity
from scenarios.support.contract.headers import TERMINAL
from scenarios.support.runs.workshop import Workshop

ENDS_S = 60.0
AMPLE = {
    "maxFanout": 50,
    "maxSBXMinutes": 50,
    "maxArtifactsMB": 50,
    "maxRetriesPerStep": 2,
    "maxWallClockMS": 600_000,
}
UNITS = {
    "maxFanout": "count",
    "maxSBXMinutes": "minutes",
    "maxArtifactsMB": "mb",
    "maxRetriesPerStep": "retries",
    "maxWallClockMS": "ms",
}
MIB = 1024 * 1024
VIOLATIONS = """
SELECT task_key, idx, attempt, kind, inline, sha256, created_at FROM app.artifacts
WHERE run_id = %(r)s AND step_id = 'BUDGET' ORDER BY created_at
"""
RUN = "SELECT status, next_action, error, budget, updated_at FROM app.runs WHERE id = %(r)s"
WORDS = "SELECT status, at FROM app.status_history WHERE run_id = %(r)s ORDER BY id"
ATTEMPTS = """
SELECT request ->> 'cmd' AS cmd, attempt, err_code FROM app.sbx_runs
WHERE run_id = %(r)s ORDER BY created_at
"""
CHILDREN = """
SELECT workflow_uuid, status FROM dbos.workflow_status WHERE parent_workflow_id = %(w)s
"""
ENGINE = "SELECT status FROM dbos.workflow_status WHERE workflow_uuid = %(w)s"


def budget(**limits: int) -> dict[str, int]:
    """A budget with more than enough of everything except the named limits."""
    return {**AMPLE, **limits}


def document(metric: str, observed: int, limit: int) -> dict[str, Any]:
    """The exact document of a violation."""
    return {
        "kind": "budget",
        "metric": metric,
        "scope": "runtime",
        "limit": limit,
        "observed": observed,
        "unit": UNITS[metric],
        "outcome": "blocked",
        "reason": reason(metric, observed, limit),
    }


def reason(metric: str, observed: int, limit: int, scope: str = "runtime") -> str:
    """The same in one line."""
    return f"budget:{metric}: observed {observed} > limit {limit} ({scope})"


def approve_plan(
    shop: Workshop, topic: str, *tests: str, command: str = "run-test", **opts: Any
) -> str:
    """Start and approve a run with these tests; return its workflow id."""
    shop.set_build(topic, command, *tests)
    wid = shop.park_run(topic, **opts)
    shop.answer(wid, "yes")
    return wid


def await_end(shop: Workshop, wid: str) -> dict[str, Any]:
    """Wait until the run has ended in both schemas; return the header."""
    header = eventually(
        lambda: shop.stack.api.get(f"/api/runs/{wid}").json(),
        deadline_s=ENDS_S,
        until=lambda seen: seen["status"] in TERMINAL,
    )
    eventually(
        lambda: shop.stack.sys_sql.value(ENGINE, w=header["executionID"]),
        deadline_s=ENDS_S,
        until=lambda word: word in TERMINAL,
    )
    return dict(header)


def violations(stack: Stack, wid: str) -> list[Row]:
    """Every BUDGET row of the run, oldest first."""
    return stack.app_sql.rows(VIOLATIONS, r=identity.run_id(wid))


def violation(stack: Stack, wid: str) -> Row:
    """The one BUDGET row of the run."""
    rows = violations(stack, wid)
    assert len(rows) == 1, f"{len(rows)} rows tell of a violation"
    return rows[0]


def attempts(stack: Stack, wid: str) -> list[tuple[str, int, str]]:
    """Command, number and end of each attempt of a task of the run, oldest first."""
    rows = stack.app_sql.rows(ATTEMPTS, r=identity.run_id(wid))
    return [(row["cmd"], row["attempt"], row["err_code"]) for row in rows]


def children(stack: Stack, execution: str) -> list[str]:
    """The end of each task that the execution began."""
    return [row["status"] for row in stack.sys_sql.rows(CHILDREN, w=execution)]


def words(stack: Stack, wid: str) -> list[str]:
    """Every status of the run, in order."""
    rows = stack.app_sql.rows(WORDS, r=identity.run_id(wid))
    return [row["status"] for row in rows]
