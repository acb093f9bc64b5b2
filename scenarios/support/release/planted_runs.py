"""Runs that are planted before a judge: nobody works on them, and SQL says how they ended."""

from __future__ import annotations

from typing import Any

from scenarios.support.contract.start_requests import start
from scenarios.support.release.judges import Court

SEVEN = 7
DAY_S = 86_401
APP = "UPDATE app.runs SET status = %(word)s WHERE workflow_id = ANY(%(wids)s)"
ENGINE = """
UPDATE dbos.workflow_status SET status = %(word)s, updated_at = app.millis(clock_timestamp())
WHERE workflow_uuid = ANY(%(wids)s)
"""
CANCELED = """
UPDATE app.runs SET status = 'canceled'
WHERE execution_id = %(w)s AND status IN ('queued', 'running', 'waiting_input')
"""
AGO = """
WITH engine AS (UPDATE dbos.workflow_status SET updated_at = updated_at - 1000 * %(s)s
                WHERE workflow_uuid = ANY(%(wids)s))
UPDATE app.runs SET updated_at = updated_at - make_interval(secs => %(s)s)
WHERE execution_id = ANY(%(wids)s)
"""
STANDS = "SELECT status FROM app.runs WHERE execution_id = %(w)s"
STANDS_THERE = "SELECT status FROM dbos.workflow_status WHERE workflow_uuid = %(w)s"


def start_idle_runs(court: Court, goal: str, count: int = SEVEN) -> list[str]:
    """Workflow ids of runs that nobody works on; the board is GO with them."""
    bodies = [start(f"{goal} {number}") for number in range(count)]
    wids = [court.api.post("/api/run", json=body).json()["workflowID"] for body in bodies]
    assert court.show(court.base).verdict == "GO"
    return wids


def set_ends(court: Court, wids: list[str], app: str, engine: str | None) -> None:
    """Either schema says of the runs how they ended; None: the durable engine knows none."""
    court.stack.admin.execute(APP, word=app, wids=wids)
    if engine is None:
        court.stack.admin.execute(
            "DELETE FROM dbos.workflow_status WHERE workflow_uuid = ANY(%(wids)s)", wids=wids
        )
    else:
        court.stack.admin.execute(ENGINE, word=engine, wids=wids)


def age_runs(court: Court, wids: list[str], seconds: int) -> None:
    """All of it happened that much earlier."""
    court.stack.admin.execute(AGO, wids=wids, s=seconds)


def retire_run(court: Court, wid: str) -> None:
    """A run of which no trigger says anything any more."""
    court.stack.admin.execute(CANCELED, w=wid)
    age_runs(court, [wid], DAY_S)


def read_statuses(court: Court, wid: str) -> tuple[Any, Any]:
    """What either schema says of a run."""
    engine = court.stack.sys_sql.rows(STANDS_THERE, w=wid)
    return court.stack.app_sql.value(STANDS, w=wid), engine[0]["status"] if engine else None
