"""The life of one run, as a client of a test's api-shim leads it."""

from __future__ import annotations

from typing import Any

from pytest_spec11.waiting import eventually
from tests.engine.shim_process import Shim

BY = {"actor": "ops", "reason": "drill"}


def header(shim: Shim, wid: str) -> dict[str, Any]:
    """The run's header."""
    found: dict[str, Any] = shim.http.get(f"/api/runs/{wid}").json()
    return found


def wait_for_status(shim: Shim, wid: str, status: str, deadline_s: float = 20) -> dict[str, Any]:
    """The run's header, once its status is ``status``."""
    return eventually(
        lambda: header(shim, wid),
        deadline_s=deadline_s,
        until=lambda seen: seen["status"] == status,
    )


def park_run(shim: Shim, goal: str, **opts: object) -> str:
    """The workflow id of a new run, once it waits for a person."""
    wid: str = shim.start(goal, **opts).json()["workflowID"]
    wait_for_status(shim, wid, "WAITING_INPUT")
    return wid


def answer(shim: Shim, wid: str, choice: str = "yes") -> int:
    """The status of a reply to the run's newest gate."""
    gate = shim.http.get(f"/api/runs/{wid}/gates").json()[-1]["gateKey"]
    body = {"payload": {"choice": choice}, "dedupeKey": "1", "origin": "manual"}
    return shim.http.post(f"/api/runs/{wid}/gates/{gate}/reply", json=body).status_code


def finish_run(shim: Shim, goal: str) -> str:
    """The workflow id of a new run that succeeded."""
    wid = park_run(shim, goal)
    assert answer(shim, wid) == 200
    wait_for_status(shim, wid, "SUCCESS")
    engine_ended(shim, wid)
    return wid


def engine_ended(shim: Shim, wid: str) -> str:
    """The durable engine's word for the workflow, once it is not under way."""
    query = "SELECT status FROM dbos.workflow_status WHERE workflow_uuid = %s"
    rows = eventually(
        lambda: shim.rows(query, wid),
        deadline_s=10,
        until=lambda rows: rows[0]["status"] not in {"ENQUEUED", "PENDING"},
    )
    return str(rows[0]["status"])
