"""How long one run takes where it waits for nobody else, on an idle engine.

`python -m benchmarks.latency` prints p50 and p99 of: a start until its run is parked; an accepted
answer until the run moves; an accepted answer until it succeeded, one task included.
"""

from __future__ import annotations

import time
from statistics import quantiles
from typing import Any, Final

import httpx
import psycopg

from benchmarks import lab

RUNS: Final = 100
PATIENCE_S: Final = 10.0
GOALS: Final = {
    "start to parked": (120, 300),
    "answer to moving": (50, 250),
    "answer to SUCCESS": (200, None),
}
WORDS: Final = """
SELECT h.status, app.millis(h.at) - app.millis(%(since)s) FROM app.status_history h
JOIN app.runs r ON r.id = h.run_id
WHERE r.workflow_id = %(wid)s AND h.at >= %(since)s ORDER BY h.id
"""


def main() -> None:
    """Measure and print."""
    with lab.postgres() as server:
        dsn = lab.database(server, "latency")
        env = lab.environment(dsn)
        api = lab.process(["engine", "api"], "listening on ", env)
        with api as url, lab.process(["engine", "worker"], "worker ", env):
            seen = _measured(url, dsn)
    for name, (p50, p99) in GOALS.items():
        cuts = quantiles(seen[name], n=100)
        goal = f"goal {p50}" + (f" / {p99}" if p99 else "")
        print(f"  {name:18} p50 {cuts[49]:6.0f} ms   p99 {cuts[98]:6.0f} ms   {goal} ms")


def _measured(url: str, dsn: str) -> dict[str, list[float]]:
    seen: dict[str, list[float]] = {name: [] for name in GOALS}
    with httpx.Client(base_url=url) as http, psycopg.connect(dsn, autocommit=True) as db:
        for number in range(RUNS + 1):
            took = _one(http, db, f"latency {number}")
            if number:  # the first one warms up
                for name, value in took.items():
                    seen[name].append(value)
    return seen


def _one(http: httpx.Client, db: psycopg.Connection[Any], goal: str) -> dict[str, float]:
    """Milliseconds, by the database's clock, from a commit to a word of the run's status."""
    header = http.post("/api/run", json=lab.start(goal)).raise_for_status().json()
    wid = header["workflowID"]
    created = db.execute("SELECT created_at FROM app.runs WHERE workflow_id = %s", (wid,))
    parked = _words(db, wid, created.fetchone(), "waiting_input")
    gate = http.get(f"/api/runs/{wid}/gates").json()[0]["gateKey"]
    http.post(f"/api/runs/{wid}/gates/{gate}/reply", json=lab.YES).raise_for_status()
    answered = db.execute("SELECT closed_at FROM app.human_gates WHERE gate_key = %s", (gate,))
    words = _words(db, wid, answered.fetchone(), "succeeded")
    return {
        "start to parked": parked["waiting_input"],
        "answer to moving": words["running"],
        "answer to SUCCESS": words["succeeded"],
    }


def _words(db: psycopg.Connection[Any], wid: str, since: Any, wanted: str) -> dict[str, float]:
    end = time.monotonic() + PATIENCE_S
    values = {"wid": wid, "since": since[0]}
    while wanted not in (found := dict(db.execute(WORDS, values).fetchall())):
        if time.monotonic() > end:
            raise SystemExit(f"{wid} is not {wanted} after {PATIENCE_S:g} s: {found}")
        time.sleep(lab.LOOK_S)
    return found


if __name__ == "__main__":
    main()
