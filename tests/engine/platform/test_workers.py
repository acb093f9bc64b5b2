from __future__ import annotations

import signal
from pathlib import Path

import httpx

from pytest_spec11.waiting import GIVE_UP_S, eventually
from tests.engine.processes import nothing_is_left, running_up, start_runs


def executors(url: str) -> set[str]:
    """Ids of the executors that live now."""
    health = httpx.get(f"{url}/healthz", timeout=GIVE_UP_S).json()
    return {worker["executorId"] for worker in health["workers"]}


def where(url: str, wid: str) -> str:
    """The status of the run."""
    status: str = httpx.get(f"{url}/api/runs/{wid}", timeout=GIVE_UP_S).json()["status"]
    return status


def test_a_killed_worker_is_back_under_its_id_and_all_go_when_up_is_killed(data: Path) -> None:
    with running_up(data, "--workers", "2") as up:
        url = up.url()
        eventually(lambda: executors(url) == {"w0", "w1"}, deadline_s=10)

        killed = up.children()["w1"]
        killed.kill()
        killed.wait(GIVE_UP_S)
        eventually(lambda: up.read_output().count("w1       | worker w1 ready") == 2, deadline_s=20)
        [wid] = start_runs(url, "after")
        eventually(lambda: where(url, wid) == "WAITING_INPUT", deadline_s=15)

        assert up.read_output().count("up       | w1 ended with -9 and begins again in 0.1 s") == 1
        assert up.children()["w1"] != killed
        assert executors(url) == {"w0", "w1"}
        up.end(signal.SIGKILL)
    nothing_is_left(data, within_s=8)
