"""S00: a stack that is asked to stop stops, leaves nothing, and goes on where it was."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from pytest_spec11.stacks import Stack, Stacks
from pytest_spec11.waiting import Stopwatch, eventually
from scenarios.support.contract.headers import TERMINAL
from scenarios.support.contract.start_requests import reply, start
from scenarios.support.runs.run_lifecycle import await_status, park_run

pytestmark = pytest.mark.S00
CONNECTED = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND usename = 'spec11'"
)


WITHIN_S = 15.0
SLOW = {"CHAOS_SLEEP_EXECUTE": "4000", "SBX_QUEUE_WORKER_CONCURRENCY": "20"}


@pytest.fixture
def stack(stacks: Stacks) -> Iterator[Stack]:
    """A private stack whose sandboxed tasks take four seconds, all of them at once."""
    with stacks.start(env=SLOW) as made:
        yield made


@pytest.mark.claim("S00.teardown-clean")
def test_sigterm_ends_both_processes_and_all_eighteen_runs_go_on(
    stack: Stack, unique_goal: str
) -> None:
    waiting = [park_run(stack.api, f"{unique_goal} w{n}")["workflowID"] for n in range(10)]
    moving = [park_run(stack.api, f"{unique_goal} m{n}")["workflowID"] for n in range(3)]
    for wid in moving:
        _answer(stack, wid)
    eventually(lambda: _executing(stack, moving) == 3, deadline_s=10)
    stack.process("worker").signal(signal.SIGSTOP)  # nobody takes from the queue any more
    bodies = [start(f"{unique_goal} q{n}") for n in range(5)]
    queued = [stack.api.post("/api/run", json=body).json()["workflowID"] for body in bodies]
    assert _words(stack, waiting) == {("waiting_input", "PENDING"): 10}
    assert _words(stack, moving) == {("running", "PENDING"): 3}
    assert _words(stack, queued) == {("queued", "ENQUEUED"): 5}
    assert (_executing(stack, moving), stack.app_sql.value(CONNECTED) > 0) == (3, True)

    _end(stack)
    for name in ("worker", "api"):
        stack.process(name).start()

    for wid in [*waiting, *queued]:
        await_status(stack.api, wid, {"WAITING_INPUT"}, deadline_s=20)
        _answer(stack, wid)
    for wid in [*waiting, *moving, *queued]:
        assert await_status(stack.api, wid, TERMINAL, deadline_s=30)["status"] == "SUCCESS"
    assert _words(stack, [*waiting, *moving, *queued]) == {("succeeded", "SUCCESS"): 18}


def _end(stack: Stack) -> None:
    """Both processes end on SIGTERM in time, with exit 0, and nothing of them is left."""
    both = [stack.process(name) for name in ("worker", "api")]
    family = [pid for process in both for pid in stack.proc.tree(process.pid)]
    port = urlsplit(stack.base_url).port
    asked = Stopwatch()
    for process in both:
        process.signal(signal.SIGTERM)
    stack.process("worker").signal(signal.SIGCONT)

    codes = [process.wait_exit(deadline_s=WITHIN_S) for process in both]

    assert (codes, asked.own_s < WITHIN_S) == ([0, 0], True)
    assert [pid for pid in family if stack.proc.exists(pid)] == []
    assert (stack.app_sql.value(CONNECTED), stack.sys_sql.value(CONNECTED)) == (0, 0)
    with socket.socket() as ours:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        ours.bind(("127.0.0.1", port))


def _answer(stack: Stack, wid: str) -> None:
    (gate,) = stack.api.get(f"/api/runs/{wid}/gates").json()
    path = f"/api/runs/{wid}/gates/{gate['gateKey']}/reply"
    assert stack.api.post(path, json=reply()).status == 200


def _executing(stack: Stack, parents: list[str]) -> int:
    """How many sandboxed tasks of ``parents`` are being executed."""
    count: int = stack.sys_sql.value(
        "SELECT count(*) FROM dbos.workflow_status"
        " WHERE parent_workflow_id = ANY(%(all)s) AND status = 'PENDING'",
        all=parents,
    )
    return count


def _words(stack: Stack, wids: list[str]) -> dict[tuple[str, str], int]:
    """How many of the runs stand at each pair of words, app first."""
    app = stack.app_sql.rows(
        "SELECT workflow_id, status FROM app.runs WHERE workflow_id = ANY(%(all)s)", all=wids
    )
    engine = stack.sys_sql.rows(
        "SELECT workflow_uuid, status FROM dbos.workflow_status WHERE workflow_uuid = ANY(%(all)s)",
        all=wids,
    )
    theirs = {row["workflow_uuid"]: row["status"] for row in engine}
    pairs = [(row["status"], theirs[row["workflow_id"]]) for row in app]
    return {pair: pairs.count(pair) for pair in pairs}
