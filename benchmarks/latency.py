"""How long one run takes where it waits for nobody else, on an idle engine."""

from __future__ import annotations

import time
from statistics import quantiles
from typing import Any, Final

import httpx
import psycopg

from benchmarks import lab
from benchmarks.figures import LOWER, Effort, Figure, Figures, Measurement, Row

ROUNDS: Final = 3
RUNS: Final = 70
PATIENCE_S: Final = 10.0
PERCENTILES: Final = (50, 99)
SPANS: Final = {  # by name: title, goals for p50 and p99 in milliseconds
    "start-to-parked": ("POST /api/run until parked, idle", (30, 60)),
    "reply-to-moving": ("reply accepted until the run moves, idle", (5, 15)),
    "reply-to-success": ("reply accepted until SUCCESS, one task, idle", (40, 80)),
}
ROWS: Final = tuple(
    Row(
        name=f"{name}-p{percentile}",
        title=f"{title}, p{percentile}",
        unit="ms",
        better=LOWER,
        goal=goal,
    )
    for name, (title, goals) in SPANS.items()
    for percentile, goal in zip(PERCENTILES, goals, strict=True)
)
WORDS: Final = """
SELECT h.status, h.at FROM app.status_history h JOIN app.runs r ON r.id = h.run_id
WHERE r.workflow_id = %(wid)s AND h.at >= %(since)s ORDER BY h.id
"""
CLOSED: Final = "SELECT closed_at FROM app.human_gates WHERE gate_key = %s"
NOW: Final = "SELECT clock_timestamp()"


def measure(effort: Effort) -> Figures:
    """One run after the other; each span is read off the database's clock."""
    runs, rounds = effort.scale(RUNS), effort.count_rounds(ROUNDS)
    with lab.postgres() as server:
        dsn = lab.create_database(server, "latency")
        with (
            lab.start_api(dsn) as api,
            lab.start_worker(dsn),
            httpx.Client(base_url=api.said, timeout=PATIENCE_S) as http,
            psycopg.connect(dsn, autocommit=True) as db,
        ):
            player = Player(http, db)
            player.play(max(runs // 4, 3))  # warm-up
            seen = [player.play(runs) for _ in range(rounds)]
    return {
        f"{name}-p{percentile}": _summarise([each[name] for each in seen], percentile)
        for name in SPANS
        for percentile in PERCENTILES
    }


def _summarise(rounds: list[list[float]], percentile: int) -> Figure:
    """The percentile of all rounds together; those of each round tell the noise."""
    found = Figure.from_rounds([_cut(spans, percentile) for spans in rounds])
    every = [span for spans in rounds for span in spans]
    parts = {f"round-{number}": spans for number, spans in enumerate(rounds)}
    return Figure(
        value=_cut(every, percentile), rounds=found.rounds, noise=found.noise, parts=parts
    )


def _cut(spans: list[float], percentile: int) -> float:
    return quantiles(spans, n=100, method="inclusive")[percentile - 1]


class Player:
    """Plays runs one by one and notes how long each span took."""

    def __init__(self, http: httpx.Client, db: psycopg.Connection[Any]) -> None:
        self._http = http
        self._db = db
        self._number = 0

    def play(self, runs: int) -> dict[str, list[float]]:
        """Milliseconds of each span, by its name."""
        found: dict[str, list[float]] = {name: [] for name in SPANS}
        for _ in range(runs):
            for name, span in self._play_one().items():
                found[name].append(span)
        return found

    def park(self) -> tuple[str, float]:
        """Start a run. Returns its id, and the milliseconds until it was parked."""
        self._number += 1
        posted = self._ask(NOW)
        body = lab.make_start(f"latency {self._number}")
        header = self._http.post("/api/run", json=body).raise_for_status().json()
        wid = str(header["workflowID"])
        return wid, _span_ms(posted, self._wait(wid, posted, "waiting_input")["waiting_input"])

    def _play_one(self) -> dict[str, float]:
        wid, park_ms = self.park()
        gate = self._http.get(f"/api/runs/{wid}/gates").raise_for_status().json()[0]["gateKey"]
        path = f"/api/runs/{wid}/gates/{gate}/reply"
        self._http.post(path, json=lab.YES).raise_for_status()
        closed = self._ask(CLOSED, gate)
        words = self._wait(wid, closed, "succeeded")
        return {
            "start-to-parked": park_ms,
            "reply-to-moving": _span_ms(closed, words["running"]),
            "reply-to-success": _span_ms(closed, words["succeeded"]),
        }

    def _ask(self, query: str, *values: str) -> Any:
        row = self._db.execute(query.encode(), values).fetchone()
        if row is None:
            raise lab.MeasurementFailed(f"no row: {query} {values}")
        return row[0]

    def _wait(self, wid: str, since: Any, wanted: str) -> dict[str, Any]:
        end = time.monotonic() + PATIENCE_S
        values = {"wid": wid, "since": since}
        while wanted not in (found := dict(self._db.execute(WORDS, values).fetchall())):
            if time.monotonic() > end:
                raise lab.MeasurementFailed(f"{wid} is not {wanted} after {PATIENCE_S:g} s")
            time.sleep(lab.LOOK_S)
        return found


def _span_ms(since: Any, until: Any) -> float:
    return float((until - since).total_seconds() * 1000)


MEASUREMENT: Final = Measurement(name="latency", rows=ROWS, measure=measure)
