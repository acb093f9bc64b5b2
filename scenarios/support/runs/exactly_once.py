"""An interrupted run that went on: checks by SQL alone that it did everything once."""

from __future__ import annotations

from typing import Any

from pytest_spec11.stacks import Stack
from scenarios.support.contract import identity

STEPS = ["CompileST 1", "ApplyPatchST 1", "DecideST 1", "ExecuteST 1"]
APP = """
SELECT r.status, r.error,
       (SELECT array_agg(step_id || ' ' || attempt ORDER BY started_at, finished_at)
        FROM app.run_steps s WHERE s.run_id = r.id) AS steps,
       (SELECT array_agg(attempt) FROM app.sbx_runs t WHERE t.run_id = r.id) AS tasks,
       (SELECT array_agg(seen_count) FROM app.mock_receipts m WHERE m.run_id = r.id) AS receipts,
       (SELECT array_agg(state) FROM app.human_gates g WHERE g.run_id = r.id) AS gates,
       (SELECT count(*) FROM app.human_interactions h WHERE h.run_id = r.id) AS answers
FROM app.runs r WHERE r.id = %(r)s
"""
ENGINE = """
SELECT status, (SELECT array_agg(function_name ORDER BY function_id) FROM dbos.operation_outputs o
                WHERE o.workflow_uuid = w.workflow_uuid AND function_name = ANY(%(names)s)) AS steps
FROM dbos.workflow_status w WHERE workflow_uuid = %(w)s
"""
EVENTS = """
SELECT key, count(*) AS times FROM dbos.workflow_events_history
WHERE workflow_uuid = %(w)s GROUP BY key ORDER BY key
"""


def facts(stack: Stack, wid: str) -> dict[str, Any]:
    """The counted rows of a run in both schemas."""
    app = stack.app_sql.one(APP, r=identity.run_id(wid))
    names = [step.partition(" ")[0] for step in STEPS]
    engine = stack.sys_sql.one(ENGINE, w=wid, names=names)
    events = {row["key"]: row["times"] for row in stack.sys_sql.rows(EVENTS, w=wid)}
    return {**app, "engine": engine["status"], "recorded": engine["steps"], "events": events}


def expect_success(wid: str) -> dict[str, Any]:
    """The facts of a run that succeeded and did everything once."""
    gate = identity.gate_key(identity.run_id(wid))
    told = [f"ui:{gate}", f"ui:{gate}:result", f"ui:{gate}:audit", f"decision:{gate}"]
    return {
        "status": "succeeded",
        "error": None,
        "steps": STEPS,
        "tasks": [1],
        "receipts": [1],
        "gates": ["RESOLVED"],
        "answers": 1,
        "engine": "SUCCESS",
        "recorded": [step.partition(" ")[0] for step in STEPS],
        "events": dict.fromkeys(told, 1),
    }


def expect_refusal(wid: str) -> dict[str, Any]:
    """The facts of a run that a person rejected, and that did everything before once."""
    return expect_success(wid) | {
        "status": "retries_exceeded",
        "error": "Plan approval failed: no",
        "steps": STEPS[:2],
        "tasks": None,
        "receipts": None,
        "engine": "ERROR",
        "recorded": ["CompileST", "ApplyPatchST"],
    }


def divergent(stack: Stack) -> list[tuple[str, str, str]]:
    """Runs whose two rows disagree, by two queries that are joined here by id."""
    app = {
        row["execution_id"]: row["status"]
        for row in stack.app_sql.rows("SELECT execution_id, status FROM app.runs")
    }
    engine = {
        row["workflow_uuid"]: row["status"]
        for row in stack.sys_sql.rows(
            "SELECT workflow_uuid, status FROM dbos.workflow_status"
            " WHERE workflow_uuid = ANY(%(ids)s)",
            ids=list(app),
        )
    }
    same = {"succeeded": "SUCCESS", "canceled": "CANCELLED", "retries_exceeded": "ERROR"}
    return [
        (wid, word, engine.get(wid, "none"))
        for wid, word in app.items()
        if engine.get(wid) != same.get(word, engine.get(wid))
    ]
