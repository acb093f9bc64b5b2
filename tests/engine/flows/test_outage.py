"""Postgres goes away under a run that waits for a person, and comes back.

Nothing else would wake the run in time: no run looks by itself, and the worker looks for all of
them each minute.
"""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import sqlalchemy

from engine.flows.durable import open_engine
from engine.flows.internals import report_lost_connections
from engine.store.migrations import sqlalchemy_url
from pytest_spec11.waiting import eventually
from tests.engine.lives import answer, park_run, wait_for_status
from tests.engine.postgres_process import Postgres
from tests.engine.shim_process import Shim, running_shim
from tests.engine.worker_process import Worker, running_worker

SOON_S = 30  # far below the minute


def answer_gate(shim: Shim, wid: str) -> None:
    """The reply is accepted, however long the database takes to come back."""
    eventually(lambda: _is_accepted(shim, wid), deadline_s=SOON_S)


def _is_accepted(shim: Shim, wid: str) -> bool:
    try:
        return answer(shim, wid) == 200
    except (httpx.HTTPError, LookupError):
        return False


@pytest.mark.parametrize("when", ["before", "during", "after"])
def test_a_reply_around_a_restart_of_postgres_is_heard_at_once(
    postgres: Postgres, when: str
) -> None:
    with running_shim(postgres.dsn) as shim, running_worker(postgres.dsn) as worker:
        wid = park_run(shim, f"answered {when}")
        worker.send(signal.SIGSTOP)
        if when == "before":
            answer_gate(shim, wid)
        postgres.kill()
        postgres.begin()
        if when == "during":  # for the worker, which does not know yet
            answer_gate(shim, wid)
        worker.send(signal.SIGCONT)
        if when == "after":
            listens_again(shim, worker)
            answer_gate(shim, wid)
        wait_for_status(shim, wid, "SUCCESS", deadline_s=SOON_S)


def listens_again(shim: Shim, worker: Worker) -> None:
    """The worker hears of messages again."""
    query = "SELECT FROM pg_stat_activity WHERE query = 'LISTEN dbos_notifications_channel'"
    eventually(lambda: shim.rows(query), deadline_s=SOON_S)
    assert worker.process.poll() is None


def test_a_connection_asked_for_during_an_outage_is_there_after_it(postgres: Postgres) -> None:
    engine = open_engine(sqlalchemy_url(postgres.dsn))

    def ask() -> int:
        with engine.connect() as connection:
            return int(connection.execute(sqlalchemy.text("SELECT 1")).scalar_one())

    postgres.kill()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask)
        postgres.begin()
        assert asked.result(SOON_S) == 1
    engine.dispose()


def test_who_lost_a_connection_is_known(postgres: Postgres) -> None:
    """The first look of a run that begins to wait fails in silence: this is how we know of it."""
    engine = open_engine(sqlalchemy_url(postgres.dsn))
    reports: list[None] = []
    report_lost_connections(engine, lambda: reports.append(None))
    with engine.connect() as connection:
        postgres.kill()
        with pytest.raises(sqlalchemy.exc.OperationalError):
            connection.execute(sqlalchemy.text("SELECT 1"))
    engine.dispose()

    assert reports == [None]
