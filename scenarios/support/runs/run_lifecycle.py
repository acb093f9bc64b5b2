"""The life of one run from the view of a client: start, park, answer, end."""

from __future__ import annotations

from typing import Any

from pytest_spec11.oracles.http import Api
from pytest_spec11.waiting import eventually
from scenarios.support.contract.headers import TERMINAL
from scenarios.support.contract.start_requests import reply, start

PARK_S = 10.0  # S01.parks-then-succeeds
END_S = 20.0


def park_run(api: Api, goal: str, **opts: Any) -> dict[str, Any]:
    """Start a run and wait until it waits for a person; return the header."""
    wid = api.post("/api/run", json=start(goal, **opts)).json()["workflowID"]
    return await_status(api, wid, {"WAITING_INPUT"}, deadline_s=PARK_S)


def answer_run(api: Api, wid: str, choice: str = "yes") -> dict[str, Any]:
    """Answer ``choice`` at the run's gate and wait for the end; return the header."""
    (gate,) = api.get(f"/api/runs/{wid}/gates").json()
    accepted = api.post(f"/api/runs/{wid}/gates/{gate['gateKey']}/reply", json=reply(choice))
    assert (accepted.status, accepted.json()) == (200, {"ok": True, "isReplay": False})
    return await_status(api, wid, TERMINAL, deadline_s=END_S)


def complete_run(api: Api, goal: str, **opts: Any) -> dict[str, Any]:
    """Start a run, answer yes, and wait for SUCCESS; return the header."""
    header = answer_run(api, park_run(api, goal, **opts)["workflowID"])
    assert header["status"] == "SUCCESS"
    return header


def await_status(
    api: Api, wid: str, words: frozenset[str] | set[str], *, deadline_s: float
) -> dict[str, Any]:
    """Wait until the run's status is one of ``words``; return the header."""

    def header() -> dict[str, Any]:
        read: dict[str, Any] = api.get(f"/api/runs/{wid}").json()
        return read

    return eventually(header, deadline_s=deadline_s, until=lambda seen: seen["status"] in words)
