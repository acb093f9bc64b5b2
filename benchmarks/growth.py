"""What a large database costs: each route and each statement with few runs and with many.

`python -m benchmarks.growth [N]` seeds two databases, with 1,000 runs and with N (200,000 unless
told), asks each route of an api process on either by turns, runs each statement of the engine on
either by turns, and prints the best times and their ratio. What is slow or grows comes first.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from urllib.parse import quote

import httpx
import psycopg
from psycopg.rows import dict_row

from benchmarks import lab, statements
from benchmarks.seeding import seed_runs

FEW: Final = 1_000
MANY: Final = 200_000
ROUNDS: Final = 5
MOST_MS: Final = 100.0
MOST_TIMES: Final = 3.0
NOISE_MS: Final = 1.0  # what is quicker than this with many runs is not slow, whatever the ratio
SIGNOFF_MS: Final = 1_000.0
LAUNCH: Final = "signoff"
OF_A_RUN: Final = """
SELECT r.workflow_id AS wid, g.gate_key AS gate, r.id AS run_id,
       (SELECT uri FROM app.artifacts a WHERE a.run_id = r.id ORDER BY step_id, idx LIMIT 1) AS uri
FROM app.runs r JOIN app.human_gates g ON g.run_id = r.id
WHERE r.status = %(status)s ORDER BY r.created_at LIMIT 1 OFFSET 9
"""
ROUTES: Final = (
    "/healthz",
    "/openapi.json",
    "/api/hitl/inbox",
    "/api/hitl/inbox?limit=200",
    "/api/recipes",
    "/api/recipes/compile-default/versions",
    "/api/ops/queue-depth",
    "/api/ops/queue-depth?limit=200",
    "/api/ops/throughput",
    "/api/ops/signoff",
    "/api/ops/wf",
    "/api/ops/wf?limit=200",
    "/api/ops/wf?limit=200&status=SUCCESS",
    "/api/ops/wf?limit=200&status=ERROR&name=RunIntent",
    "/api/ops/wf?limit=200&name=PromoteRecipe",
    "/marks?wf=none",
)
OF_ONE: Final = (
    "/api/runs/{wid}",
    "/api/runs/{run_id}",
    "/api/runs/{wid}/steps",
    "/api/runs/{wid}/steps/ApplyPatchST/patches",
    "/api/runs/{wid}/gates",
    "/api/runs/{wid}/gates/{gate}",
    "/api/runs/{wid}/interactions?limit=500",
    "/api/runs/{wid}/proofs",
    "/api/runs/{wid}/repro",
    "/api/artifacts/{uri}",
    "/api/ops/wf/{wid}",
    "/api/ops/wf/{wid}/steps",
)


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that was measured, with few runs and with many."""

    name: str
    small_ms: float
    large_ms: float

    @property
    def ratio(self) -> float:
        """How many times as long it took with many."""
        return self.large_ms / self.small_ms

    @property
    def fault(self) -> str:
        """Why it is not as it should be; empty when it is."""
        most_ms = SIGNOFF_MS if LAUNCH in self.name else MOST_MS
        if self.large_ms > most_ms:
            return f"more than {most_ms:g} ms"
        if self.large_ms > NOISE_MS and self.ratio > MOST_TIMES:
            return f"more than {MOST_TIMES:g} times"
        return ""


def measure(many: int = MANY) -> list[Row]:
    """Routes first, then statements; both in the order in which they are known."""
    with lab.postgres() as server:
        names = {"small": FEW, "large": many}
        for name, runs in names.items():
            lab.create_database(server, name)
            seed_runs(server.dsn(name, "postgres"), runs)
        dsns = server.dsn("small"), server.dsn("large")
        return [*_routes(*dsns), *_statements(*dsns)]


def main(many: int) -> None:
    """Measure and print."""
    rows = measure(many)
    print(f"best of {ROUNDS}: milliseconds with {FEW:,} runs, with {many:,}, their ratio")
    for row in sorted(rows, key=lambda row: (not row.fault, -row.large_ms)):
        times = f"{row.small_ms:9.2f} {row.large_ms:9.2f} {row.ratio:8.1f}"
        print(f"  {row.name:62} {times}  {row.fault}".rstrip())


def _routes(small: str, large: str) -> Iterator[Row]:
    with _asking(small) as few, _asking(large) as many:
        for name in few:
            yield Row(f"GET {name}", *_by_turns(few[name], many[name]))


@contextmanager
def _asking(dsn: str) -> Iterator[Mapping[str, Callable[[], None]]]:
    """What asks each route of an api process on the database, by the route's name."""
    with (
        lab.start_api(dsn) as api,
        httpx.Client(base_url=api.said, timeout=60) as http,
    ):
        paths = {route: route for route in ROUTES}
        for status in ("succeeded", "waiting_input"):
            paths |= {f"{route} ({status})": path for route, path in _paths(dsn, status).items()}
        yield {name: partial(_ask, http, path) for name, path in paths.items()}


def _paths(dsn: str, status: str) -> dict[str, str]:
    """Paths of one run that stands so, by their pattern."""
    with psycopg.connect(dsn, row_factory=dict_row) as db:
        found: Any = db.execute(OF_A_RUN, {"status": status}).fetchone()
    values = {name: quote(value, safe="") for name, value in found.items()}
    return {route: route.format(**values) for route in OF_ONE}


def _ask(http: httpx.Client, path: str) -> None:
    http.get(path).raise_for_status()


def _statements(small: str, large: str) -> Iterator[Row]:
    with (
        psycopg.connect(small, autocommit=True) as few,
        psycopg.connect(large, autocommit=True) as many,
    ):
        known = statements.find_examples(few), statements.find_examples(many)
        for name, text in sorted(statements.STATEMENTS.items(), key=_moves_all):
            for own in statements.list_variants(name):
                values = [{**each, **own} for each in known]
                times = [
                    (_plan_ms(few, text, values[0]), _plan_ms(many, text, values[1]))
                    for _ in range(ROUNDS)
                ]
                shown = " ".join(f"{key}={value}" for key, value in own.items())
                best = (min(pair[place] for pair in times) for place in (0, 1))
                yield Row(f"SQL {name} {shown}".rstrip(), *best)


def _moves_all(statement: tuple[str, str]) -> bool:
    """Whether it changes so many rows that others have to step over what it left: it comes last."""
    return statement[0] == "executors.take_over"


def _plan_ms(db: psycopg.Connection[Any], text: str, values: Mapping[str, Any]) -> float:
    return statements.explain(db, text, values).ms


def _by_turns(few: Callable[[], None], many: Callable[[], None]) -> tuple[float, float]:
    """The best times of both, in milliseconds; the first time of each does not count."""
    few()
    many()
    times = [(_time_work(few), _time_work(many)) for _ in range(ROUNDS)]
    return min(first for first, _ in times), min(second for _, second in times)


def _time_work(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - began)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else MANY)
