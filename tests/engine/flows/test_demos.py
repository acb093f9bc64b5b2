"""Marks around a durable sleep, and ticks of a schedule: each once, whatever dies."""

from __future__ import annotations

import signal

from pytest_spec11.waiting import eventually
from tests.engine.shim_process import Shim, running_shim
from tests.engine.worker_process import running_worker

TICKS = "SELECT mark FROM app.marks WHERE mark LIKE 'tick%%' ORDER BY id"


def marks(shim: Shim) -> object:
    return shim.http.get("/marks?wf=demo").json()


def test_a_demo_killed_in_its_sleep_leaves_each_mark_once(own_shim: Shim) -> None:
    with running_shim(own_shim.dsn, WF_SLEEP_MS="1500") as shim:
        for _ in range(2):
            assert shim.http.post("/crashdemo?wf=demo").json()["workflowId"] == "demo"
        with running_worker(shim.dsn) as worker:
            eventually(lambda: marks(shim) == {"s1": 1, "s2": 0}, deadline_s=10)
            assert worker.kill() == -signal.SIGKILL
        with running_worker(shim.dsn):
            eventually(lambda: marks(shim) == {"s1": 1, "s2": 1}, deadline_s=30)


def test_a_schedule_ticks_once_an_interval_on_two_workers(own_shim: Shim) -> None:
    every = {"SPEC11_TICK_S": "1"}
    with running_worker(own_shim.dsn, "w0", **every), running_worker(own_shim.dsn, "w1", **every):
        ticks = eventually(
            lambda: [row["mark"] for row in own_shim.rows(TICKS)],
            deadline_s=20,
            until=lambda seen: len(seen) >= 4,
        )

    assert len(set(ticks)) == len(ticks)
    assert own_shim.rows("SELECT FROM app.runs") == []
