"""The database goes away under a running api-shim, and comes back."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine.config import Config
from engine.postgres.server import EmbeddedServer
from engine.usecases import cluster
from pytest_spec11.waiting import Stopwatch, eventually
from tests.engine.processes import postmaster
from tests.engine.shim_process import Shim, running_shim, start_body

REQUESTS: tuple[dict[str, Any], ...] = (
    {"method": "POST", "url": "/api/run", "json": start_body("meanwhile")},
    {"method": "GET", "url": "/api/runs/ih_0"},
    {"method": "GET", "url": "/api/recipes"},
    {"method": "GET", "url": "/api/ops/queue-depth"},
)


class Postgres:
    """A server on a directory of its own that can be killed, frozen and begun again."""

    def __init__(self, data: Path, until_the_end: ExitStack) -> None:
        self._data = data
        self._until_the_end = until_the_end
        cache = Config.from_env({}).cache
        self._server = until_the_end.enter_context(cluster.running(data, cache))
        self.dsn = cluster.database(self._server.place)

    def kill(self) -> None:
        """SIGKILL of the postmaster; it has ended."""
        postmaster(self._data).kill()
        eventually(lambda: self._server.exit_code is not None, deadline_s=5)
        self._server.stop()

    def begin(self) -> None:
        """A server answers again on the same directory."""
        self._server = self._until_the_end.enter_context(EmbeddedServer(data=self._data))

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Every process of the server is stopped for as long: connections open, nobody answers."""
        first = postmaster(self._data)
        everyone = [first, *first.children(recursive=True)]
        for each in everyone:
            each.suspend()
        try:
            yield
        finally:
            for each in everyone:
                each.resume()


@pytest.fixture
def postgres(data: Path) -> Iterator[Postgres]:
    """A server of this test alone."""
    with ExitStack() as until_the_end:
        yield Postgres(data, until_the_end)


def timed(shim: Shim, request: dict[str, Any]) -> tuple[httpx.Response, float]:
    """The answer, and how many seconds of its own it took."""
    asked = Stopwatch()
    answer = shim.http.request(**request)
    return answer, asked.own_s


def all_fail_in_time(shim: Shim) -> None:
    """Every request is a bare 500 within 5 s, and health is a 503 within 3 s that says why."""
    with ThreadPoolExecutor(len(REQUESTS)) as pool:
        for answer, took in pool.map(lambda request: timed(shim, request), REQUESTS):
            assert (answer.status_code, answer.json()) == (500, {"error": "internal error"})
            assert took < 5
    health, took = timed(shim, {"method": "GET", "url": "/healthz"})
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

        with postgres.frozen():
            all_fail_in_time(shim)

        is_normal_again(shim, wid)
