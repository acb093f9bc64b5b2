"""How often a request asks the database: what nobody counts grows."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from engine.postgres.server import EmbeddedServer, connect
from engine.store.queue_signals import NOTIFY
from tests.engine.shim_process import Shim, running_shim
from tests.engine.statement_log import Statement, StatementLog


@pytest.fixture(scope="module")
def logged(server: EmbeddedServer, clone: Callable[[], str]) -> Iterator[tuple[Shim, StatementLog]]:
    """An api-shim that has read its recipe, and the log of what it asks."""
    dsn = clone()
    log = StatementLog.open(server, dsn)
    with running_shim(dsn) as shim:
        shim.start("first of all").raise_for_status()
        yield shim, log


def list_statements(log: StatementLog, work: Callable[[], object]) -> list[Statement]:
    """What the api-shim asked for ``work``, each statement a transaction of its own.

    The signal to the workers is no part of a request: one is for all that enqueue within 10 ms.
    """
    all_of_api = [each for each in log.record(work) if each.application == "spec11-api"]
    found = [each for each in all_of_api if each.text != NOTIFY]
    assert len({each.transaction for each in found}) == len(found)
    return found


def test_a_start_is_one_statement(logged: tuple[Shim, StatementLog]) -> None:
    shim, log = logged

    [start] = list_statements(log, lambda: shim.start("one statement"))

    assert "INSERT INTO app.runs" in start.text


def test_a_repeat_of_a_start_is_one_statement_that_writes_nothing(
    logged: tuple[Shim, StatementLog],
) -> None:
    shim, log = logged
    shim.start("one look")
    before = shim.digest()

    found = list_statements(log, lambda: shim.start("one look"))

    assert len(found) == 1
    assert shim.digest() == before


def test_the_workers_are_told_of_a_start_and_not_of_its_repeat(
    logged: tuple[Shim, StatementLog],
) -> None:
    shim, _ = logged
    with connect(shim.dsn) as line:
        line.execute("LISTEN spec11_queues")
        assert shim.start("told once").status_code == 201
        assert [*line.notifies(timeout=20, stop_after=1)] != []
        assert shim.start("told once").status_code == 200
        assert [*line.notifies(timeout=0.2)] == []


def test_an_answer_and_its_repeat_are_two_and_three_statements(
    logged: tuple[Shim, StatementLog],
) -> None:
    shim, log = logged
    wid, gate = shim.park_run("two statements")
    body = {"payload": {"choice": "yes"}, "dedupeKey": "k", "origin": "manual"}

    def reply() -> None:
        shim.http.post(f"/api/runs/{wid}/gates/{gate}/reply", json=body).raise_for_status()

    assert len(list_statements(log, reply)) == 2
    assert len(list_statements(log, reply)) == 3
