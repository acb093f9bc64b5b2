"""The database goes away under a running api-shim, and comes back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from pytest_spec11.waiting import Stopwatch, eventually
from tests.engine.postgres_process import Postgres
from tests.engine.shim_process import Shim, running_shim, start_body

REQUESTS: tuple[dict[str, Any], ...] = (
    {"method": "POST", "url": "/api/run", "json": start_body("meanwhile")},
    {"method": "GET", "url": "/api/runs/ih_0"},
    {"method": "GET", "url": "/api/recipes"},
    {"method": "GET", "url": "/api/ops/queue-depth"},
)


def time_request(shim: Shim, request: dict[str, Any]) -> tuple[httpx.Response, float]:
    """The answer, and how many seconds of its own it took."""
    asked = Stopwatch()
    answer = shim.http.request(**request)
    return answer, asked.own_s


def all_fail_in_time(shim: Shim) -> None:
    """Every request is a bare 500 within 5 s, and health is a 503 within 3 s that says why."""
    with ThreadPoolExecutor(len(REQUESTS)) as pool:
        for answer, took in pool.map(lambda request: time_request(shim, request), REQUESTS):
            assert (answer.status_code, answer.json()) == (500, {"error": "internal error"})
            assert took < 5
    health, took = time_request(shim, {"method": "GET", "url": "/healthz"})
    assert (health.status_code, took < 3) == (503, True)
    assert (health.json()["ok"], health.json()["reasons"]) == (False, ["postgres does not answer"])


def is_normal_again(shim: Shim, wid: str) -> None:
    """Within 10 s, in the same process, with what was there."""
    eventually(lambda: shim.http.get("/healthz").status_code == 200, deadline_s=10)
    header = shim.http.get(f"/api/runs/{wid}")
    assert (header.status_code, header.json()["workflowID"]) == (200, wid)
    assert [shim.start(goal).status_code for goal in ("before", "after")] == [200, 201]
    assert shim.process.poll() is None


def test_a_killed_postgres_is_a_500_then_a_503_and_normal_after_its_return(
    postgres: Postgres,
) -> None:
    with running_shim(postgres.dsn) as shim:
        wid = shim.start("before").json()["workflowID"]

        postgres.kill()
        all_fail_in_time(shim)
        postgres.begin()

        is_normal_again(shim, wid)


def test_a_postgres_that_stops_answering_is_no_different(postgres: Postgres) -> None:
    with running_shim(postgres.dsn) as shim:
        wid = shim.start("before").json()["workflowID"]

        with postgres.freeze():
            all_fail_in_time(shim)

        is_normal_again(shim, wid)
