"""Escalations of a missed deadline: the workflow, and its artifact."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from pytest_spec11.canon import digest
from pytest_spec11.oracles.sql import Sql
from pytest_spec11.stacks import Stack
from pytest_spec11.waiting import eventually
from scenarios.support.runs.gates import Gate
from scenarios.support.runs.run_lifecycle import END_S

WORKFLOWS = """
SELECT workflow_uuid, status, queue_name FROM dbos.workflow_status
WHERE name = 'EscalateTimeout' AND workflow_uuid LIKE '%%:' || %(g)s
"""
ARTIFACTS = """
SELECT task_key, idx, attempt, kind, inline, sha256 FROM app.artifacts
WHERE run_id = %(r)s AND step_id = 'EscalateTimeout'
"""
DEADLINE = "SELECT deadline_at FROM app.human_gates WHERE run_id = %(r)s AND gate_key = %(g)s"


def workflows(sys_sql: Sql, gate: Gate) -> list[dict[str, Any]]:
    """The gate's escalations in the durable engine."""
    return sys_sql.rows(WORKFLOWS, g=gate.key)


def artifacts(app_sql: Sql, gate: Gate) -> list[dict[str, Any]]:
    """The artifacts of escalations of the gate's run."""
    return app_sql.rows(ARTIFACTS, r=gate.run_id)


def read_only_escalation(stack: Stack, gate: Gate) -> str:
    """Wait until the gate's one escalation succeeded; return the digest of its one artifact."""
    known = eventually(
        lambda: workflows(stack.sys_sql, gate),
        deadline_s=END_S,
        until=lambda rows: bool(rows) and rows[0]["status"] not in {"ENQUEUED", "PENDING"},
    )
    assert known == [
        {
            "workflow_uuid": f"esc:{gate.wid}:{gate.key}",
            "status": "SUCCESS",
            "queue_name": "controlQ",
        }
    ]
    (left,) = artifacts(stack.app_sql, gate)
    deadline = stack.app_sql.value(DEADLINE, r=gate.run_id, g=gate.key)
    at = datetime.fromisoformat(left["inline"].pop("at"))
    assert abs(at - deadline) < timedelta(milliseconds=1)
    assert left["inline"] == {
        "event": "TIMEOUT_ESCALATION",
        "gateKey": gate.key,
        "reason": "Human gate timed out",
    }
    assert (left["task_key"], left["idx"], left["attempt"]) == (gate.key, 999, 1)
    sha256: str = left["sha256"]
    assert sha256 == digest({**left["inline"], "at": at.astimezone(UTC).isoformat()})
    return sha256
