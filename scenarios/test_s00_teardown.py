"""S00: a stack that is asked to stop stops, leaves nothing, and goes on where it was."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from pytest_spec11.stacks import Stack, Stacks
from pytest_spec11.waiting import eventually
from scenarios.intents import reply, start
from scenarios.lives import parked, reached

pytestmark = pytest.mark.S00
CONNECTED = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND usename = 'spec11'"
)


@pytest.fixture
def stack(stacks: Stacks) -> Iterator[Stack]:
    """A private stack whose sandboxed tasks take four seconds."""
    with stacks.start(env={"CHAOS_SLEEP_EXECUTE": "4000"}) as made:
        yield made


@pytest.mark.claim("S00.teardown-clean")
def test_sigterm_ends_both_processes_and_all_eighteen_runs_go_on(
    stack: Stack, unique_goal: str
) -> None:
    waiting = [parked(stack.api, f"{unique_goal} w{n}")["workflowID"] for n in range(10)]
    moving = [parked(stack.api, f"{unique_goal} m{n}")["workflowID"] for n in range(3)]
    for wid in moving:
        _answer(stack, wid)
    eventually(lambda: _executing(stack, moving) == 3, deadline_s=10)
    worker, shim = stack.process("worker"), stack.process("api")
    worker.signal(signal.SIGSTOP)  # nobody takes from the queue any more
    bodies = [start(f"{unique_goal} q{n}") for n in range(5)]
    queued = [stack.api.post("/api/run", json=body).json()["workflowID"] for body in bodies]
    assert _words(stack, waiting) == {("waiting_input", "PENDING"): 10}
    assert _words(stack, moving) == {("running", "PENDING"): 3}
    assert _words(stack, queued) == {("queued", "ENQUEUED"): 5}
    assert _executing(stack, moving) == 3
    assert stack.app_sql.value(CONNECTED) > 0
    children = [*stack.proc.tree(worker.pid), *stack.proc.tree(shim.pid)]
    port = urlsplit(stack.base_url).port

    for process in (worker, shim):
        process.signal(signal.SIGTERM)
    worker.signal(signal.SIGCONT)

    assert {each.wait_exit(deadline_s=15) for each in (worker, shim)} == {0}
    assert [pid for pid in children if stack.proc.exists(pid)] == []
    eventually(lambda: stack.app_sql.value(CONNECTED) == 0, deadline_s=2)
    assert stack.sys_sql.value(CONNECTED) == 0
    with socket.socket() as ours:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        ours.bind(("127.0.0.1", port))

    for process in (worker, shim):
        process.start()
    for wid in [*waiting, *queued]:
        reached(stack.api, wid, {"WAITING_INPUT"}, deadline_s=20)
        _answer(stack, wid)
    for wid in [*waiting, *moving, *queued]:
        assert reached(stack.api, wid, {"SUCCESS", "ERROR"}, deadline_s=30)["status"] == "SUCCESS"
    assert _words(stack, [*waiting, *moving, *queued]) == {("succeeded", "SUCCESS"): 18}


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
