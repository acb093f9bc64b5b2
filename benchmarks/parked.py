"""What waiting costs: memory of runs parked on one worker, and a fresh start beside them."""

from __future__ import annotations

import statistics
import time
from itertools import count
from typing import Final

import httpx
import psycopg

from benchmarks import lab
from benchmarks.figures import HIGHER, LOWER, Effort, Figure, Figures, Measurement, Row
from benchmarks.latency import Player
from benchmarks.load import Post, post_all
from benchmarks.runs import make_replies, wait_for_status

ROUNDS: Final = 3
RUNS: Final = 400  # a round
WARM: Final = 50
FRESH: Final = 20  # a round
NUMBERS: Final = count()
MEMORY: Final = Row(
    name="parked-memory",
    title=f"memory of each of {ROUNDS * RUNS:,} runs that wait",
    unit="KiB",
    better=LOWER,
    goal=24,
)
DELAY: Final = Row(
    name="parked-fresh",
    title="POST /api/run until parked beside them, p50",
    unit="ms",
    better=LOWER,
    goal=100,
)
THREADS: Final = Row(
    name="parked-threads", title="threads of the worker with them", unit="", better=LOWER
)
ENDED: Final = Row(
    name="parked-ended", title="all of them answered: finished/s", unit="/s", better=HIGHER
)


def measure(effort: Effort) -> Figures:
    """Park a batch, look at the worker, start some runs one by one; at last answer all."""
    runs, fresh = effort.scale(RUNS), effort.scale(FRESH)
    memory, delays = [], []
    with lab.postgres() as server:
        dsn = lab.create_database(server, "parked")
        with (
            lab.start_api(dsn) as api,
            lab.start_worker(dsn) as worker,
            httpx.Client(base_url=api.said, timeout=10) as http,
            psycopg.connect(dsn, autocommit=True) as db,
        ):
            ids, player = _park(api.said, dsn, WARM), Player(http, db)
            for _ in range(effort.count_rounds(ROUNDS)):
                before = worker.rss()
                ids += _park(api.said, dsn, runs)
                memory.append((worker.rss() - before) / runs / 1024)
                parked = [player.park() for _ in range(fresh)]
                ids += [wid for wid, _ in parked]
                delays.append(statistics.median(span for _, span in parked))
            threads = worker.usage.num_threads()
            began = time.perf_counter()
            post_all(api.said, make_replies(dsn, ids), ("200", "201"))
            wait_for_status(dsn, "succeeded", ids)
            rate = len(ids) / (time.perf_counter() - began)
    return {
        MEMORY.name: Figure.from_rounds(memory),
        DELAY.name: Figure.from_rounds(delays),
        THREADS.name: Figure.from_rounds([threads]),
        ENDED.name: Figure.from_rounds([rate]),
    }


def _park(url: str, dsn: str, runs: int) -> list[str]:
    posts = [Post.of("/api/run", lab.make_start(f"parked {next(NUMBERS)}")) for _ in range(runs)]
    ids = [str(document["workflowID"]) for document in post_all(url, posts).documents]
    wait_for_status(dsn, "waiting_input", ids)
    return ids


MEASUREMENT: Final = Measurement(
    name="parked", rows=(MEMORY, DELAY, THREADS, ENDED), measure=measure
)
