"""What waiting costs: runs parked on one worker, and a fresh run beside them (D11).

`python -m benchmarks.parked [N]` parks N runs (1,000 unless told), then prints memory for each,
threads, the worker's idle load, the delay of a fresh start, and answers them all.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

import httpx
import psutil
import psycopg

from benchmarks import lab

RUNS: Final = 1_000
FRESH: Final = 20
IDLE_S: Final = 5.0
CLIENTS: Final = 8
STANDING: Final = "SELECT count(*) FROM app.runs WHERE status = %(status)s"
DELAYS: Final = """
SELECT max(started_at_epoch_ms - created_at) FROM dbos.workflow_status
WHERE workflow_uuid = ANY(%s)
"""


def main(runs: int) -> None:
    """Measure and print."""
    with lab.postgres() as server:
        dsn = lab.database(server, "parked")
        env = lab.environment(dsn)
        api = lab.process(["engine", "api"], "listening on ", env)
        with api as url, lab.process(["engine", "worker"], "worker ", env):
            _measure(url, dsn, _worker(), runs)


def _worker() -> psutil.Process:
    """The worker among our children."""
    children = psutil.Process().children()
    return next(child for child in children if "worker" in child.cmdline())


def _measure(url: str, dsn: str, worker: psutil.Process, runs: int) -> None:
    with httpx.Client(base_url=url, timeout=60) as http, ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(partial(_started, http), (f"warm {n}" for n in range(20))))
        lab.until(dsn, STANDING, {"status": "waiting_input"}, 20)
        before, began = worker.memory_info().rss, time.perf_counter()
        list(pool.map(partial(_started, http), (f"parked {n}" for n in range(runs))))
        lab.until(dsn, STANDING, {"status": "waiting_input"}, runs + 20)
        took = time.perf_counter() - began
        grown = worker.memory_info().rss - before
        print(f"  parked      {runs} in {took:.1f} s, {runs / took:.0f} a second")
        print(f"  memory      {grown / runs / 1000:.1f} kB each   goal 60")
        print(f"  threads     {worker.num_threads()}")
        worker.cpu_percent()
        time.sleep(IDLE_S)
        print(f"  idle load   {worker.cpu_percent():.0f} % of a core")
        fresh = [_started(http, f"fresh {number}") for number in range(FRESH)]
        lab.until(dsn, STANDING, {"status": "waiting_input"}, runs + 20 + FRESH)
        print(
            f"  fresh start taken from the queue after {_delay(dsn, fresh)} ms at most   goal 1000"
        )
        began = time.perf_counter()
        list(pool.map(partial(_answered, http), _gates(dsn)))
        lab.until(dsn, STANDING, {"status": "succeeded"}, runs + 20 + FRESH)
        took = time.perf_counter() - began
        print(f"  finished    all in {took:.1f} s, {(runs + 20 + FRESH) / took:.0f} a second")


def _started(http: httpx.Client, goal: str) -> str:
    header = http.post("/api/run", json=lab.start(goal)).raise_for_status().json()
    return str(header["workflowID"])


def _answered(http: httpx.Client, gate: tuple[str, str]) -> None:
    wid, key = gate
    http.post(f"/api/runs/{wid}/gates/{key}/reply", json=lab.YES).raise_for_status()


def _gates(dsn: str) -> list[tuple[str, str]]:
    with psycopg.connect(dsn) as db:
        return db.execute("SELECT workflow_id, gate_key FROM app.human_gates").fetchall()


def _delay(dsn: str, wids: list[str]) -> int:
    with psycopg.connect(dsn) as db:
        row = db.execute(DELAYS, (wids,)).fetchone()
    return int(row[0]) if row else 0


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else RUNS)
