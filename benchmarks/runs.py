"""Whole runs a second: beside a bare workflow of the same shape, and with 1, 2 and 4 workers.

A round starts runs, waits until all are parked at their gate, answers all, and waits until all
have succeeded. Each round has processes of its own: no idle worker of another side takes
processor time from it. A few runs that are not counted come first.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any, Final

import psycopg

from benchmarks import lab
from benchmarks.figures import HIGHER, Effort, Figure, Figures, Measurement, Row, alternate
from benchmarks.load import Post, post_all
from benchmarks.starts import start_handler

ROUNDS: Final = 3
RUNS: Final = 160
WARM: Final = 16
NUMBERS: Final = count()
BARE: Final = Row(
    name="runs-vs-bare",
    title="whole runs/s vs a bare workflow of the same shape",
    unit="x",
    better=HIGHER,
    goal=1.0,
)
TWO: Final = Row(
    name="workers-2-vs-1",
    title="whole runs/s, 2 workers vs 1",
    unit="x",
    better=HIGHER,
    goal=1.5,
)
FOUR: Final = Row(
    name="workers-4-vs-1",
    title=f"whole runs/s, 4 workers vs 1 ({os.cpu_count()} cores)",
    unit="x",
    better=HIGHER,
)
PARKED: Final = Row(
    name="parked-rate", title="runs parked/s, one worker", unit="/s", better=HIGHER, goal=100
)
FINISHED: Final = Row(
    name="finished-rate", title="runs finished/s, one worker", unit="/s", better=HIGHER, goal=60
)
STANDING: Final = """
SELECT count(*) FROM app.runs WHERE workflow_id = ANY(%(ids)s) AND status = %(status)s
"""
GATES: Final = "SELECT workflow_id, gate_key FROM app.human_gates WHERE workflow_id = ANY(%(ids)s)"
BARE_PARKED: Final = """
SELECT count(*) FROM dbos.operation_outputs
WHERE workflow_uuid = ANY(%(ids)s) AND function_name = 'DBOS.sleep'
"""
ENDED: Final = """
SELECT count(*) FROM dbos.workflow_status
WHERE workflow_uuid = ANY(%(ids)s) AND status = 'SUCCESS'
"""
# Steps of the run, its events, its children and their steps.
SHAPE: Final = """
WITH children AS (
    SELECT workflow_uuid AS id FROM dbos.workflow_status WHERE parent_workflow_id = %(id)s
)
SELECT (SELECT count(*) FROM dbos.operation_outputs
        WHERE workflow_uuid = %(id)s AND child_workflow_id IS NULL
          AND function_name NOT LIKE 'DBOS.%%'),
       (SELECT count(*) FROM dbos.workflow_events WHERE workflow_uuid = %(id)s),
       (SELECT count(*) FROM children),
       (SELECT count(*) FROM dbos.operation_outputs JOIN children ON id = workflow_uuid)
"""


@dataclass(frozen=True, slots=True)
class Rates:
    """Runs a second."""

    parked: float
    finished: float
    whole: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One way to play runs, on a database of its own: how each thing is asked and seen."""

    dsn: str
    url: str
    make_start: Callable[[], Post]
    read_id: Callable[[Any], str]
    make_answers: Callable[[Sequence[str]], list[Post]]
    wait_parked: Callable[[Sequence[str]], None]

    def play(self, runs: int) -> tuple[Rates, list[str]]:
        """Play ``runs`` from start to end. Returns how fast that was, and their ids."""
        starts = [self.make_start() for _ in range(runs)]
        started = post_all(self.url, starts)
        ids = [self.read_id(document) for document in started.documents]
        self.wait_parked(ids)
        park_s = time.perf_counter() - started.began
        answered = post_all(self.url, self.make_answers(ids), ("200", "201"))
        _wait(self.dsn, ENDED, ids)
        finish_s = time.perf_counter() - answered.began
        return Rates(runs / park_s, runs / finish_s, runs / (park_s + finish_s)), ids


def measure(effort: Effort) -> Figures:
    """Alternate: one worker, the bare workflow, one worker again, two and four workers."""
    runs, rounds = effort.scale(RUNS), effort.count_rounds(ROUNDS)
    seen: list[Rates] = []  # of one worker
    with lab.postgres() as server:
        ours = {n: lab.create_database(server, f"ours_{n}") for n in ("one", "twin", "two", "four")}
        bare = lab.create_database(server, "bare")
        _compare_shapes(ours["one"], bare)

        def play_one() -> float:
            seen.append(_play(play_engine(ours["one"], 1), runs))
            return seen[-1].whole

        found = alternate(
            {
                "one": play_one,
                "bare": lambda: _play(play_bare(bare), runs).whole,
                "twin": lambda: _play(play_engine(ours["twin"], 1), runs).whole,
                "two": lambda: _play(play_engine(ours["two"], 2), runs).whole,
                "four": lambda: _play(play_engine(ours["four"], 4), runs).whole,
            },
            rounds,
            warm_up=False,  # each round warms its own processes
        )
    one, twin = found["one"], found["twin"]
    return {
        BARE.name: Figure.from_pairs(one, found["bare"], twin),
        TWO.name: Figure.from_pairs(found["two"], one, None),
        FOUR.name: Figure.from_pairs(found["four"], one, None),
        PARKED.name: Figure.from_rounds([rates.parked for rates in seen]),
        FINISHED.name: Figure.from_rounds([rates.finished for rates in seen]),
    }


def _play(side: AbstractContextManager[Side], runs: int) -> Rates:
    with side as ready:
        ready.play(WARM)
        rates, _ = ready.play(runs)
        return rates


def _compare_shapes(ours: str, bare: str) -> None:
    """Raise MeasurementFailed when a run and the bare workflow do not have the same shape."""
    shapes = []
    for side in (play_engine(ours, 1), play_bare(bare)):
        with side as ready:
            _, (key,) = ready.play(1)
            with psycopg.connect(ready.dsn) as db:
                shapes.append(db.execute(SHAPE, {"id": key}).fetchone())
    if shapes[0] != shapes[1]:
        raise lab.MeasurementFailed(
            f"(steps, events, children, their steps): a run {shapes[0]}, the floor {shapes[1]}"
        )


@contextmanager
def play_engine(dsn: str, workers: int) -> Iterator[Side]:
    """The engine with so many workers."""
    with ExitStack() as stack:
        api = stack.enter_context(lab.start_api(dsn))
        for number in range(workers):
            stack.enter_context(lab.start_worker(dsn, number))
        yield Side(
            dsn=dsn,
            url=api.said,
            make_start=lambda: Post.of("/api/run", lab.make_start(f"bench {next(NUMBERS)}")),
            read_id=lambda document: str(document["workflowID"]),
            make_answers=partial(make_replies, dsn),
            wait_parked=partial(wait_for_status, dsn, "waiting_input"),
        )


@contextmanager
def play_bare(dsn: str) -> Iterator[Side]:
    """The bare handler and one worker that executes the bare workflow."""
    worker = lab.Process(["benchmarks.bare_flow", dsn, str(os.getpid())], "ready", {})
    with start_handler(dsn) as handler, worker:
        yield Side(
            dsn=dsn,
            url=handler.said,
            make_start=lambda: Post.of("/", {"goal": f"bare-{next(NUMBERS)}"}),
            read_id=lambda document: str(document["id"]),
            make_answers=lambda ids: [Post.of("/answer", {"goal": key}) for key in ids],
            wait_parked=lambda ids: _wait(dsn, BARE_PARKED, ids),
        )


def make_replies(dsn: str, ids: Sequence[str]) -> list[Post]:
    """A yes for the gate of each run."""
    with psycopg.connect(dsn) as db:
        gates = db.execute(GATES, {"ids": [*ids]}).fetchall()
    return [Post.of(f"/api/runs/{wid}/gates/{gate}/reply", lab.YES) for wid, gate in gates]


def wait_for_status(dsn: str, status: str, ids: Sequence[str]) -> None:
    """Return when every run has that status."""
    lab.wait_for_count(dsn, STANDING, {"ids": [*ids], "status": status}, len(ids))


def _wait(dsn: str, query: str, ids: Sequence[str]) -> None:
    lab.wait_for_count(dsn, query, {"ids": [*ids]}, len(ids))


MEASUREMENT: Final = Measurement(
    name="runs", rows=(BARE, TWO, FOUR, PARKED, FINISHED), measure=measure
)
