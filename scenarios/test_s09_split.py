"""S09: two processes over one database; either may be away, another version is another world."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from pytest_spec11.stacks import Stack, Stacks
from pytest_spec11.target import Process, Target
from pytest_spec11.waiting import eventually
from scenarios.support.contract import identity
from scenarios.support.contract.inventory import operations
from scenarios.support.contract.start_requests import reply, start
from scenarios.support.faults.crash_points import answer_open_gates, await_end
from scenarios.support.runs import exactly_once
from scenarios.support.runs.run_lifecycle import await_status, park_run

pytestmark = pytest.mark.S09

WORKFLOW = "SELECT * FROM dbos.workflow_status WHERE workflow_uuid = %(w)s"
EXECUTORS = "SELECT DISTINCT executor_id FROM dbos.workflow_status WHERE executor_id IS NOT NULL"
OF_A_RUN = "/api/runs/{wid}"  # a path of the document
AWAY_S = 5.0
SLOW = {"CHAOS_SLEEP_EXECUTE": "2000"}
FAN_OUT = {"topic": "a plan of 5"}


@pytest.fixture
def worker(spec11_target: Target) -> Process:
    """The worker as the target describes it."""
    return spec11_target.process("worker")


def stays(read: Any, wanted: Any, seconds: float) -> None:
    """``read`` gives ``wanted`` for that long, looked at again and again."""
    end = time.monotonic() + seconds
    eventually(lambda: read() != wanted or time.monotonic() > end, deadline_s=seconds + 5)
    assert read() == wanted


@pytest.mark.claim("S09.split-hand-over")
def test_a_start_without_a_worker_waits_and_the_late_one_drains_it(
    stacks: Stacks, unique_goal: str
) -> None:
    with stacks.start(only=("api",)) as stack:
        begun = stack.api.post("/api/run", json=start(unique_goal))
        wid = begun.json()["workflowID"]
        assert (begun.status, begun.json()["status"]) == (201, "ENQUEUED")

        def at_rest() -> tuple[str, str | None]:
            row = stack.sys_sql.one(WORKFLOW, w=wid)
            return row["status"], row["executor_id"]

        stays(at_rest, ("ENQUEUED", None), AWAY_S)
        reads = [each for each in operations(stack.api) if each.method == "GET"]
        of_the_run = [each for each in reads if each.path.startswith(OF_A_RUN)]
        whole = [each for each in of_the_run if each.path.count("{") == 1]
        paths = [each.at(wid=wid) for each in whole if "stream" not in each.path]
        assert len(paths) >= 4
        assert {path: stack.api.get(path).status for path in paths} == dict.fromkeys(paths, 200)
        assert stack.api.get(f"/api/runs/{wid}/steps").json() == []

        stack.process("worker").start()

        await_status(stack.api, wid, {"WAITING_INPUT"}, deadline_s=10)
        assert at_rest() == ("PENDING", "w0")


@pytest.mark.claim("S09.version-fence")
def test_a_worker_of_another_version_leaves_a_run_alone_and_health_says_why(
    stacks: Stacks, worker: Process, unique_goal: str, app_version: str
) -> None:
    other = worker.using({"DBOS__APPVERSION": "v-other", "DBOS__VMID": "w9"})
    with stacks.start(only=("api",), extra={"other": other}) as stack:
        wid = stack.api.post("/api/run", json=start(unique_goal)).json()["workflowID"]

        stays(lambda: stack.sys_sql.one(WORKFLOW, w=wid)["status"], "ENQUEUED", AWAY_S)

        health = stack.api.get("/healthz").json()
        assert health["wantedVersion"] == app_version
        assert {each["appVersion"] for each in health["workers"]} == {"v-other"}
        assert any(app_version in warning for warning in health["warnings"])
        header = stack.api.get(f"/api/runs/{wid}").json()
        assert (header["status"], header["workflowVersion"]) == ("ENQUEUED", app_version)


@pytest.mark.claim("S09.version-fence")
def test_two_versions_on_one_queue_each_execute_their_own(
    stacks: Stacks, spec11_target: Target, worker: Process, unique_goal: str
) -> None:
    versions = {"one": "v-one", "two": "v-two"}
    extra = {
        name: worker.using({"DBOS__APPVERSION": version, "DBOS__VMID": name})
        for name, version in versions.items()
    }
    api = spec11_target.process("api")
    extra |= {
        f"api-{name}": api.using({"DBOS__APPVERSION": version})
        for name, version in versions.items()
    }
    with stacks.start(only=(), extra=extra) as stack:
        wids = {
            name: [
                stack.api_at(f"api-{name}")
                .post("/api/run", json=start(f"{unique_goal} {name} {number}"))
                .json()["workflowID"]
                for number in range(10)
            ]
            for name in versions
        }
        for name, ids in wids.items():
            for wid in ids:
                await_status(stack.api_at(f"api-{name}"), wid, {"WAITING_INPUT"}, deadline_s=30)

        rows = stack.sys_sql.rows(
            "SELECT workflow_uuid, executor_id, application_version FROM dbos.workflow_status"
        )

    by_id = {row["workflow_uuid"]: (row["executor_id"], row["application_version"]) for row in rows}
    assert by_id == {wid: (name, versions[name]) for name, ids in wids.items() for wid in ids}


@pytest.fixture
def slow(stacks: Stacks) -> Iterator[Stack]:
    """A private stack whose sandboxed tasks take two seconds."""
    with stacks.start(env=SLOW) as stack:
        yield stack


def executing(stack: Stack, wids: list[str]) -> int:
    """How many tasks of the runs are being executed."""
    count: int = stack.sys_sql.value(
        "SELECT count(*) FROM dbos.workflow_status"
        " WHERE parent_workflow_id = ANY(%(all)s) AND status = 'PENDING'",
        all=wids,
    )
    return count


@pytest.mark.claim("S09.kill-one-side")
def test_a_killed_api_shim_comes_back_and_every_run_goes_on(slow: Stack, unique_goal: str) -> None:
    waiting = [park_run(slow.api, f"{unique_goal} w{n}")["workflowID"] for n in range(5)]
    moving = [park_run(slow.api, f"{unique_goal} m{n}")["workflowID"] for n in range(5)]
    for wid in moving:
        answer_open_gates(slow, wid)
    eventually(lambda: executing(slow, moving) == 5, deadline_s=20)

    assert slow.process("api").kill() == -signal.SIGKILL
    slow.process("api").start()

    for wid in [*waiting, *moving]:
        assert slow.api.get(f"/api/runs/{identity.run_id(wid)}").json()["workflowID"] == wid
        assert await_end(slow, wid)["status"] == "SUCCESS"
        assert exactly_once.facts(slow, wid) == exactly_once.expect_success(wid)


@pytest.mark.claim("S09.kill-one-side")
def test_a_reply_while_the_worker_is_dead_counts(slow: Stack, unique_goal: str) -> None:
    wid = park_run(slow.api, unique_goal)["workflowID"]
    assert slow.process("worker").kill() == -signal.SIGKILL

    gate = identity.gate_key(identity.run_id(wid))
    answer = slow.api.post(f"/api/runs/{wid}/gates/{gate}/reply", json=reply())
    slow.process("worker").start()

    assert (answer.status, answer.json()) == (200, {"ok": True, "isReplay": False})
    assert await_status(slow.api, wid, {"SUCCESS"}, deadline_s=30)["retryCount"] == 0
    await_end(slow, wid)
    assert exactly_once.facts(slow, wid) == exactly_once.expect_success(wid)


@pytest.mark.claim("S09.crash-in-fan-out")
def test_a_worker_killed_over_five_tasks_runs_each_once(slow: Stack, unique_goal: str) -> None:
    body = start(unique_goal, form=FAN_OUT)
    wid = slow.api.post("/api/run", json=body).json()["workflowID"]
    await_status(slow.api, wid, {"WAITING_INPUT"}, deadline_s=10)
    answer_open_gates(slow, wid)
    eventually(lambda: executing(slow, [wid]) == 5, deadline_s=20)

    assert slow.process("worker").kill() == -signal.SIGKILL
    assert executing(slow, [wid]) == 5
    slow.process("worker").start()

    assert await_end(slow, wid)["status"] == "SUCCESS"
    assert exactly_once.facts(slow, wid) == exactly_once.expect_success(wid) | {"tasks": [1] * 5}
    keys = slow.app_sql.rows(
        "SELECT task_key FROM app.sbx_runs WHERE run_id = %(r)s", r=identity.run_id(wid)
    )
    assert len({row["task_key"] for row in keys}) == 5


@pytest.mark.claim("S09.frozen-worker")
def test_a_frozen_worker_loses_its_run_and_its_late_write_changes_nothing(
    stacks: Stacks, worker: Process, unique_goal: str
) -> None:
    with stacks.start(env=SLOW) as stack:
        wid = park_run(stack.api, unique_goal)["workflowID"]
        answer_open_gates(stack, wid)
        eventually(lambda: executing(stack, [wid]) == 1, deadline_s=20)
        first = stack.process("worker")
        first.signal(signal.SIGSTOP)
        assert executing(stack, [wid]) == 1

        taker = stack.begin(worker.using({**SLOW, "DBOS__VMID": "w1"}, name="second"))

        assert await_end(stack, wid)["status"] == "SUCCESS"
        assert taker.alive
        settled = exactly_once.facts(stack, wid)
        terminal = stack.app_sql.rows(STATUS, r=identity.run_id(wid))
        first.signal(signal.SIGCONT)
        assert first.wait_exit(deadline_s=15) == 5  # it finds that others run what it was running
        assert exactly_once.facts(stack, wid) == settled == exactly_once.expect_success(wid)
        assert stack.app_sql.rows(STATUS, r=identity.run_id(wid)) == terminal
        assert [row["status"] for row in terminal].count("succeeded") == 1
        assert stack.sys_sql.one(WORKFLOW, w=wid)["executor_id"] == "w1"


STATUS = "SELECT status FROM app.status_history WHERE run_id = %(r)s ORDER BY id"


@pytest.mark.claim("S09.shim-never-executes")
def test_every_executor_is_a_worker_and_the_api_shim_loads_no_workflow(
    slow: Stack, unique_goal: str
) -> None:
    for number in range(3):
        wid = park_run(slow.api, f"{unique_goal} {number}")["workflowID"]
        answer_open_gates(slow, wid)

    names = slow.sys_sql.rows(
        "SELECT DISTINCT application_name AS name FROM pg_stat_activity"
        " WHERE datname = current_database() AND usename = 'spec11'"
    )
    assert {row["name"] for row in names} == {"spec11-api", "spec11-worker-w0"}
    assert slow.sys_sql.rows(EXECUTORS) == [{"executor_id": "w0"}]
    api, worker = (slow.process(name).pid for name in ("api", "worker"))
    loaded = {pid: slow.proc.run(["cat", f"/proc/{pid}/maps"]).stdout for pid in (api, worker)}
    assert "sqlalchemy" in loaded[worker]  # what the durable engine brings
    assert "sqlalchemy" not in loaded[api]
    polls = slow.app_sql.rows(
        "SELECT query FROM pg_stat_activity WHERE application_name = 'spec11-api'"
        " AND datname = current_database()"
    )
    assert polls
    assert [
        row for row in polls if "FOR UPDATE" in row["query"] and "ENQUEUED" in row["query"]
    ] == []
