"""How fast the engine is beside the bare parts it is made of, all in one run.

`python -m benchmarks.ratios` prints, for each of three figures, ours, the floor and the ratio:
starts a second against a bare handler (one INSERT and one enqueue) and against bare
`DBOSClient.enqueue` on four threads, and finished runs a second against a bare workflow of the
same shape. Rounds alternate, medians count.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count as numbers
from typing import Any, Final

import httpx
import psycopg

from benchmarks import lab
from engine.store.migrations import sqlalchemy_url

ROUNDS: Final = 3
STARTS: Final = 3_000
CONNECTIONS: Final = 16
ENQUEUES: Final = 1_500
RUNS: Final = 200
NUMBERS: Final = numbers()
STANDING: Final = (
    "SELECT count(*) FROM app.runs WHERE workflow_id = ANY(%(ids)s) AND status = %(status)s"
)
GATES: Final = "SELECT workflow_id, gate_key FROM app.human_gates WHERE workflow_id = ANY(%(ids)s)"
BARE_START: Final = """
SELECT dbos.enqueue_workflow(workflow_name => 'Bare', queue_name => 'bareQ',
                             named_args => json_build_object('key', %(key)s::text),
                             workflow_id => %(key)s, app_version => 'bare',
                             application_name => 'bare')
"""
BARE_PARKED: Final = """
SELECT count(*) FROM dbos.operation_outputs
WHERE function_name = 'DBOS.sleep' AND workflow_uuid = ANY(%(ids)s)
"""
BARE_ENDED: Final = """
SELECT count(*) FROM dbos.workflow_status
WHERE status = 'SUCCESS' AND workflow_uuid = ANY(%(ids)s)
"""


def main() -> None:
    """Measure and print."""
    with lab.postgres() as server:
        ours, bare = lab.database(server, "ours"), lab.database(server, "bare")
        _starts(ours, bare)
        _finished(lab.database(server, "ours_runs"), lab.database(server, "bare_runs"))


def _starts(ours: str, bare: str) -> None:
    api = lab.process(["engine", "api"], "listening on ", lab.environment(ours))
    floor = lab.process(["benchmarks.bare_http", bare], "listening on ", {})
    with api as our_url, floor as bare_url:
        kinds: dict[str, Callable[[], float]] = {
            "POST /api/run": lambda: _posted(f"{our_url}/api/run", _start_body),
            "bare handler": lambda: _posted(bare_url, _bare_body),
            "DBOSClient.enqueue": lambda: _enqueued(bare),
        }
        rates = _alternating(kinds)
    print(f"starts a second ({CONNECTIONS} connections, {STARTS} a round, {lab.cores()} cores)")
    _print(rates, "POST /api/run", {"bare handler": 0.6, "DBOSClient.enqueue": 0.8})


def _finished(ours: str, bare: str) -> None:
    env = lab.environment(ours)
    api = lab.process(["engine", "api"], "listening on ", env)
    with api as url, lab.process(["engine", "worker"], "worker ", env):
        our_rates = [_our_runs(url, ours) for _ in range(ROUNDS)]
    with lab.process(["benchmarks.bare_flow", bare], "ready", {}):
        bare_rates = [_bare_runs(bare) for _ in range(ROUNDS)]
    print(f"runs a second, one worker ({RUNS} a round): parked, finished after the answer, both")
    for place, name in enumerate(("parked", "finished", "whole runs")):
        mine, floor = (
            statistics.median(r[place] for r in rates) for rates in (our_rates, bare_rates)
        )
        goal = "  goal 0.7" if name == "whole runs" else ""
        print(f"  {name:12} {mine:7.1f}   bare {floor:7.1f}   ratio {mine / floor:.2f}{goal}")


def _alternating(kinds: dict[str, Callable[[], float]]) -> dict[str, float]:
    seen: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(ROUNDS):
        for name, measure in kinds.items():
            seen[name].append(measure())
    return {name: statistics.median(values) for name, values in seen.items()}


def _print(rates: dict[str, float], mine: str, floors: dict[str, float]) -> None:
    for name, rate in rates.items():
        ratio = f"   ratio {rates[mine] / rate:.2f}  goal {floors[name]}" if name in floors else ""
        print(f"  {name:20} {rate:8.0f}{ratio}")


def _start_body() -> bytes:
    return json.dumps(lab.start(f"bench {next(NUMBERS)}")).encode()


def _bare_body() -> bytes:
    return json.dumps({"goal": f"bench {next(NUMBERS)}"}).encode()


def _posted(url: str, body: Callable[[], bytes]) -> float:
    """Accepted requests a second, from a process of their own."""
    bodies = b"\n".join(body() for _ in range(STARTS))
    done = subprocess.run(  # noqa: S603  # our own words only
        [sys.executable, "-m", "benchmarks.load", url, str(CONNECTIONS)],
        input=bodies, capture_output=True, check=True,
    )  # fmt: skip
    seen = json.loads(done.stdout)
    if seen["statuses"] != {"201": STARTS}:
        raise SystemExit(f"{url} answered {seen['statuses']}")
    return STARTS / float(seen["seconds"])


def _enqueued(dsn: str) -> float:
    from dbos import DBOSClient  # noqa: PLC0415  # 1.5 s that no other figure needs

    client = DBOSClient(system_database_url=sqlalchemy_url(dsn), application_name="bare")
    try:
        began = time.perf_counter()
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: _enqueue(client), range(ENQUEUES)))
        return ENQUEUES / (time.perf_counter() - began)
    finally:
        client.destroy()


def _enqueue(client: Any) -> None:
    options = {"workflow_name": "Bare", "queue_name": "bareQ", "app_version": "bare"}
    client.enqueue(options, "key")


def _our_runs(url: str, dsn: str) -> tuple[float, float, float]:
    """Runs parked, finished after their answer, and both, a second."""
    with httpx.Client(base_url=url, timeout=60) as http, ThreadPoolExecutor(8) as pool:
        began = time.perf_counter()
        wids = list(pool.map(lambda _: _started(http), range(RUNS)))
        lab.until(dsn, STANDING, {"ids": wids, "status": "waiting_input"}, RUNS)
        parked = time.perf_counter()
        gates = _gates(dsn, wids)
        answering = time.perf_counter()
        list(pool.map(lambda pair: _answered(http, *pair), gates))
        lab.until(dsn, STANDING, {"ids": wids, "status": "succeeded"}, RUNS)
        ended = time.perf_counter()
    return _rates(parked - began, ended - answering)


def _started(http: httpx.Client) -> str:
    header = http.post("/api/run", content=_start_body()).raise_for_status().json()
    return str(header["workflowID"])


def _gates(dsn: str, wids: list[str]) -> list[tuple[str, str]]:
    with psycopg.connect(dsn) as db:
        return db.execute(GATES, {"ids": wids}).fetchall()


def _answered(http: httpx.Client, wid: str, gate: str) -> None:
    http.post(f"/api/runs/{wid}/gates/{gate}/reply", json=lab.YES).raise_for_status()


def _bare_runs(dsn: str) -> tuple[float, float, float]:
    keys = [f"bare-{next(NUMBERS)}" for _ in range(RUNS)]
    with psycopg.connect(dsn, autocommit=True) as db:
        began = time.perf_counter()
        for key in keys:
            db.execute(BARE_START, {"key": key})
        lab.until(dsn, BARE_PARKED, {"ids": keys}, RUNS)
        parked = time.perf_counter()
        for key in keys:
            db.execute("SELECT dbos.send_message(%s, '1'::json, 'answer', %s)", (key, key))
        lab.until(dsn, BARE_ENDED, {"ids": keys}, RUNS)
        ended = time.perf_counter()
    return _rates(parked - began, ended - parked)


def _rates(park_s: float, finish_s: float) -> tuple[float, float, float]:
    return RUNS / park_s, RUNS / finish_s, RUNS / (park_s + finish_s)


if __name__ == "__main__":
    main()
