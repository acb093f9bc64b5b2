"""Many runs that wait for people at once: their cost, and their answers."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from pytest_spec11.oracles.http import Api
from pytest_spec11.stacks import Stack
from pytest_spec11.waiting import eventually
from scenarios.support.contract import identity
from scenarios.support.contract.start_requests import reply, start

DOORS = 8  # starts at the same time
HANDS = 24  # gates answered at the same time
REPLIES = 3  # for a client that twice got no answer
WAITING = "SELECT count(*) FROM app.runs WHERE status = 'waiting_input'"
SESSIONS = """
SELECT application_name, count(*) AS n FROM pg_stat_activity
WHERE datname = current_database() AND usename = 'spec11' GROUP BY 1
"""
UNGRANTED = "SELECT count(*) FROM pg_locks WHERE NOT granted"
TAKEN = """
SELECT started_at_epoch_ms - created_at AS ms FROM dbos.workflow_status WHERE workflow_uuid = %(w)s
"""
STANDING = """
SELECT r.status, count(*) AS runs, sum((SELECT count(*) FROM app.human_interactions h
                                        WHERE h.run_id = r.id)) AS answers
FROM app.runs r GROUP BY r.status
"""
DECIDED = """
SELECT count(*) AS decisions, count(DISTINCT workflow_uuid) AS runs
FROM dbos.workflow_events_history WHERE key LIKE 'decision:%%'
"""
WORKFLOWS = "SELECT name, status, count(*) AS n FROM dbos.workflow_status GROUP BY 1, 2"


@dataclass(frozen=True)
class Cost:
    """The cost of many waiting runs for the worker, the api-shim and Postgres."""

    parked_s: float
    threads: int
    worker_kib_a_run: float
    sessions: dict[str, int]
    ungranted: int

    def describe_cost(self) -> str:
        """All of it on one line."""
        sessions = ", ".join(f"{name} {n}" for name, n in sorted(self.sessions.items()))
        return (
            f"parked in {self.parked_s:.1f} s; worker: {self.threads} threads,"
            f" {self.worker_kib_a_run:.1f} KiB a run; sessions: {sessions};"
            f" ungranted locks {self.ungranted}"
        )


def park_runs(stack: Stack, goal: str, runs: int) -> Cost:
    """Park ``runs`` runs, each with ``goal`` and a number; return their cost."""
    before = stack.app_sql.value(WAITING)
    memory, began = stack.proc.memory("worker"), time.monotonic()
    with ThreadPoolExecutor(DOORS) as pool:
        started = list(pool.map(partial(_start_run, stack.api), goals(goal, runs)))
    assert Counter(started) == {201: runs}
    ungranted: list[int] = []

    def are_parked() -> bool:
        ungranted.append(stack.app_sql.value(UNGRANTED))
        return bool(stack.app_sql.value(WAITING) == before + runs)

    eventually(are_parked, deadline_s=10 + runs * 0.6, every_s=0.25)
    return Cost(
        parked_s=time.monotonic() - began,
        threads=stack.proc.threads("worker"),
        worker_kib_a_run=(stack.proc.memory("worker") - memory) / runs / 1024,
        sessions={row["application_name"]: row["n"] for row in stack.app_sql.rows(SESSIONS)},
        ungranted=max(ungranted),
    )


def goals(goal: str, runs: int) -> list[str]:
    """The goals of these runs."""
    return [f"{goal} {number}" for number in range(runs)]


def _start_run(api: Api, goal: str) -> int:
    return api.post("/api/run", json=start(goal)).status


def let_go(stack: Stack, goal: str, runs: int, deadline_s: float) -> Counter[tuple[int, bool]]:
    """Send three identical replies to each run; return status and isReplay after all SUCCESS."""
    with ThreadPoolExecutor(HANDS) as pool:
        told = list(pool.map(partial(_answer_run, stack.api), goals(goal, runs)))
    eventually(lambda: _count_succeeded(stack) >= runs, deadline_s=deadline_s, every_s=0.25)
    return Counter(each for answers in told for each in answers)


def _answer_run(api: Api, goal: str) -> Sequence[tuple[int, bool]]:
    wid = identity.workflow_id(goal)
    path = f"/api/runs/{wid}/gates/{identity.gate_key(identity.run_id(wid))}/reply"
    replies = [api.post(path, json=reply()) for _ in range(REPLIES)]
    return [(each.status, each.json().get("isReplay")) for each in replies]


def _count_succeeded(stack: Stack) -> int:
    """How many runs have succeeded in both schemas."""
    runs = {row["status"]: int(row["runs"]) for row in stack.app_sql.rows(STANDING)}
    return min(runs.get("succeeded", 0), workflows(stack).get(("RunIntent", "SUCCESS"), 0))


def workflows(stack: Stack) -> dict[tuple[str, str], int]:
    """How many workflows there are, by name and status."""
    return {(row["name"], row["status"]): row["n"] for row in stack.sys_sql.rows(WORKFLOWS)}


def taken_ms(stack: Stack, wid: str) -> int:
    """How long a workflow waited in its queue, in milliseconds."""
    return int(stack.sys_sql.value(TAKEN, w=wid))


def books(stack: Stack) -> dict[str, Any]:
    """Counts of runs, ledger rows, and all decisions ever written."""
    decided = stack.sys_sql.one(DECIDED)
    return {"app": stack.app_sql.rows(STANDING), "decided": (decided["decisions"], decided["runs"])}
