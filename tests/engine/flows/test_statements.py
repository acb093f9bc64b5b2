"""How often a run asks the database on its way: what nobody counts grows.

Only statements that name the run, its gate or its task count: how long it took says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from engine.postgres.server import EmbeddedServer
from pytest_spec11.waiting import eventually
from tests.engine.lives import answer, engine_ended, finish_run, park_run
from tests.engine.shim_process import Shim, running_shim
from tests.engine.statement_log import Statement, StatementLog
from tests.engine.worker_process import running_worker

WORKER = "spec11-worker-w0"
IDS = """
SELECT id FROM app.runs WHERE workflow_id = %s
UNION ALL SELECT gate_key FROM app.human_gates WHERE workflow_id = %s
UNION ALL SELECT workflow_uuid FROM dbos.workflow_status WHERE parent_workflow_id = %s
"""
WAITS = (
    "SELECT FROM dbos.operation_outputs WHERE workflow_uuid = %s AND function_name = 'DBOS.sleep'"
)


@pytest.fixture(scope="module")
def logged(server: EmbeddedServer, clone: Callable[[], str]) -> Iterator[tuple[Shim, StatementLog]]:
    """An api-shim with a worker that has finished one run, and the log of what they ask."""
    dsn = clone()
    log = StatementLog.open(server, dsn)
    with running_shim(dsn) as shim, running_worker(dsn):
        finish_run(shim, "first of all")
        yield shim, log


def wait_recorded(shim: Shim, wid: str) -> None:
    """The run waits for its answer, and the durable engine has written all about that."""
    eventually(lambda: shim.rows(WAITS, wid), deadline_s=20)


def of_run(shim: Shim, wid: str, found: list[Statement]) -> list[Statement]:
    """What the worker asked for this run."""
    ids = [wid, *(row["id"] for row in shim.rows(IDS, wid, wid, wid))]
    return [each for each in found if each.application == WORKER and each.names(ids)]


def transactions(found: list[Statement]) -> int:
    """How many transactions they are."""
    return len({each.transaction for each in found})


def test_a_start_is_parked_with_few_statements(logged: tuple[Shim, StatementLog]) -> None:
    shim, log = logged
    wids: list[str] = []

    def start() -> None:
        wids.append(park_run(shim, "counted to its gate"))
        wait_recorded(shim, wids[0])

    found = log.record(start)
    asked = of_run(shim, wids[0], found)

    assert len(asked) <= 20
    assert transactions(asked) <= 20


def test_an_answer_ends_its_run_with_few_statements(logged: tuple[Shim, StatementLog]) -> None:
    shim, log = logged
    wid = park_run(shim, "counted to its end")
    wait_recorded(shim, wid)

    def reply() -> None:
        assert answer(shim, wid) == 200
        assert engine_ended(shim, wid) == "SUCCESS"

    asked = of_run(shim, wid, log.record(reply))

    assert len(asked) <= 48
    assert transactions(asked) <= 40
