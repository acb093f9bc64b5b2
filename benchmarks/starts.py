"""Accepted starts a second, beside a bare handler and beside a bare client of the durable engine.

The bare handler does one INSERT and one enqueue. The bare client, `DBOSClient.enqueue` on four
threads, has no HTTP in front of it. One api process, the same HTTP client, the same connections.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from typing import Any, Final

from dbos import DBOSClient

from benchmarks import lab
from benchmarks.figures import HIGHER, Effort, Figure, Figures, Measurement, Row, alternate
from benchmarks.load import Post, post_all
from engine.store.migrations import sqlalchemy_url

ROUNDS: Final = 15  # many short ones: a stall of the machine then spoils few of them
STARTS: Final = 1_000
THREADS: Final = 4
NUMBERS: Final = count()
HANDLER: Final = Row(
    name="starts-vs-handler",
    title="POST /api/run accepted/s vs a bare handler",
    unit="x",
    better=HIGHER,
    goal=0.75,
)
CLIENT: Final = Row(
    name="starts-vs-client",
    title="POST /api/run accepted/s vs DBOSClient.enqueue, no HTTP",
    unit="x",
    better=HIGHER,
    goal=1.2,
)


def measure(effort: Effort) -> Figures:
    """Ours and its twin are two api processes on two databases that are alike."""
    starts, rounds = effort.scale(STARTS), effort.count_rounds(ROUNDS)
    with lab.postgres() as server:
        ours, twin, bare = (lab.create_database(server, n) for n in ("ours", "twin", "bare"))
        client = DBOSClient(system_database_url=sqlalchemy_url(bare), application_name="bare")
        with lab.start_api(ours) as api, lab.start_api(twin) as other, start_handler(bare) as floor:
            sides = {
                "ours": partial(post_starts, api.said, starts),
                "handler": partial(_post_bare_starts, floor.said, starts),
                "client": partial(_enqueue_all, client, starts),
                "twin": partial(post_starts, other.said, starts),
            }
            found = alternate(sides, rounds)
        client.destroy()
    ours_rates, twin_rates = found["ours"], found["twin"]
    return {
        HANDLER.name: Figure.from_pairs(ours_rates, found["handler"], twin_rates),
        CLIENT.name: Figure.from_pairs(ours_rates, found["client"], twin_rates),
    }


def start_handler(dsn: str) -> lab.Process:
    """The bare handler; ``said`` is its URL."""
    words = ["benchmarks.bare_http", dsn, str(os.getpid())]
    return lab.Process(words, "listening on ", {})


def post_starts(url: str, starts: int) -> float:
    """Accepted starts a second."""
    posts = [Post.of("/api/run", lab.make_start(f"bench {next(NUMBERS)}")) for _ in range(starts)]
    return starts / post_all(url, posts).seconds


def _post_bare_starts(url: str, starts: int) -> float:
    posts = [Post.of("/", {"goal": f"bench {next(NUMBERS)}"}) for _ in range(starts)]
    return starts / post_all(url, posts).seconds


def _enqueue_all(client: DBOSClient, starts: int) -> float:
    began = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(partial(_enqueue, client), range(starts)))
    return starts / (time.perf_counter() - began)


def _enqueue(client: Any, number: int) -> None:
    options = {"workflow_name": "Bare", "queue_name": "bareQ", "app_version": "bare"}
    client.enqueue(options, str(number))


MEASUREMENT: Final = Measurement(name="starts", rows=(HANDLER, CLIENT), measure=measure)
