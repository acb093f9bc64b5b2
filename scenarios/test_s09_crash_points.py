"""S09: a process dies between any two durable writes, and nothing is lost, doubled or stranded."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from pytest_spec11.fixtures import Provokes
from pytest_spec11.stacks import Stack, Stacks
from pytest_spec11.target import Process, Target
from pytest_spec11.waiting import eventually
from scenarios.support.contract import identity, recipes
from scenarios.support.contract.commands import engine
from scenarios.support.contract.events import EVENTS, event
from scenarios.support.contract.start_requests import PARTITION, RECIPE, reply, start
from scenarios.support.faults.crash_points import (
    answer_open_gates,
    arm_process,
    await_death,
    await_end,
    cut_off,
    over_work,
)
from scenarios.support.faults.kill_log import Ledger
from scenarios.support.runs import exactly_once, patches, promotions
from scenarios.support.runs.budgets import AMPLE
from scenarios.support.runs.run_lifecycle import await_status

pytestmark = pytest.mark.S09

STEPS = (
    "CompileST",
    "Budget",
    "ApplyPatchST",
    "OpenGate",
    "CloseGate",
    "DecideST",
    "executeTask",
    "ExecuteST",
)
MOMENTS = [f"worker.{step}.{moment}" for step in STEPS for moment in ("before", "after")]
HAPPY = [*MOMENTS, "worker.executeTask.ran"]
SAD = [f"worker.{step}.{at}" for step in ("Rollback", "Fail") for at in ("before", "after")]
REPAIR = ["worker.Known.before", "worker.Known.after"]
ESCALATION = ["worker.escalate.before", "worker.escalate.after"]
MARKS = [f"worker.{mark}.{moment}" for mark in ("s1", "s2") for moment in ("before", "after")]
TICK = ["worker.tick.before", "worker.tick.after"]
MOMENTS_OF_API = ("received", "committed")
BY = {"actor": "ops", "reason": "drill"}


@pytest.fixture(scope="module")
def cellar(stacks: Stacks) -> Iterator[Stack]:
    """A private stack on which workers come and go: an api-shim alone."""
    with stacks.start(only=("api",), env={"WF_SLEEP_MS": "200"}) as stack:
        yield stack


@dataclass(frozen=True)
class Drill:
    """A stack without a worker, on which one dies of a life and another goes on with it."""

    stack: Stack
    worker: Process
    ledger: Ledger

    def at(self, point: str, live: Callable[[], Any]) -> None:
        """The life goes on until an armed worker died of it; an unarmed one takes its place."""
        dying = self.stack.spawn(arm_process(self.worker, point))
        eventually(lambda: live() is not None and not dying.alive, deadline_s=30)
        await_death(dying)
        self.ledger.hit(point, over_work(self.stack))
        self.stack.process("worker").start()


@pytest.fixture
def drill(cellar: Stack, spec11_target: Target, ledger: Ledger) -> Iterator[Drill]:
    """The cellar; whatever worker a test left there is gone after it."""
    yield Drill(cellar, spec11_target.process("worker"), ledger)
    cellar.process("worker").stop()


@pytest.mark.claim("S09.crash-every-boundary")
@pytest.mark.parametrize("point", HAPPY)
def test_a_worker_that_dies_in_a_run_leaves_it_whole(
    drill: Drill, unique_goal: str, point: str
) -> None:
    stack = drill.stack
    opts = {"budget": AMPLE} if ".Budget." in point else {}
    wid = stack.api.post("/api/run", json=start(unique_goal, **opts)).json()["workflowID"]

    drill.at(point, partial(answer_open_gates, stack, wid))

    assert await_end(stack, wid)["status"] == "SUCCESS"
    assert exactly_once.facts(stack, wid) == exactly_once.expect_success(wid)


@pytest.mark.claim("S09.crash-every-boundary")
@pytest.mark.parametrize("point", SAD)
def test_a_worker_that_dies_while_a_run_fails_leaves_it_failed_once(
    drill: Drill, provokes: Provokes, unique_goal: str, point: str
) -> None:
    stack = drill.stack
    wid = stack.api.post("/api/run", json=start(unique_goal)).json()["workflowID"]
    provokes(wid, "a plan is rejected, and its worker dies over it")

    drill.at(point, partial(answer_open_gates, stack, wid, "no"))

    assert await_end(stack, wid)["status"] == "ERROR"
    assert exactly_once.facts(stack, wid) == exactly_once.expect_refusal(wid)


@pytest.mark.claim("S09.crash-every-boundary")
@pytest.mark.parametrize("point", REPAIR)
def test_a_worker_that_dies_in_a_repair_repairs_once(
    drill: Drill, provokes: Provokes, unique_goal: str, point: str
) -> None:
    stack = drill.stack
    wid = stack.api.post("/api/run", json=start(unique_goal)).json()["workflowID"]
    provokes(wid, "a plan is rejected, then repaired")
    stack.process("worker").start()
    assert await_end(stack, wid, "no")["status"] == "ERROR"
    stack.process("worker").stop()
    assert stack.api.post(f"/api/runs/{wid}/retry").status == 202

    drill.at(point, partial(answer_open_gates, stack, wid))

    header = await_end(stack, wid)
    assert (header["status"], header["retryCount"]) == ("SUCCESS", 1)
    assert exactly_once.facts(stack, wid) | {"answers": 1, "gates": ["RESOLVED"]} == {
        **exactly_once.expect_success(wid),
        "steps": ["CompileST 1", "ApplyPatchST 1", "ApplyPatchST 2", "DecideST 2", "ExecuteST 2"],
        "engine": "ERROR",
        "recorded": ["CompileST", "ApplyPatchST"],
    }
    again = stack.sys_sql.rows(
        "SELECT status FROM dbos.workflow_status WHERE workflow_uuid = %(w)s", w=f"rep:{wid}:1"
    )
    assert again == [{"status": "SUCCESS"}]


@pytest.mark.claim("S09.crash-every-boundary")
@pytest.mark.parametrize("point", ESCALATION)
def test_a_worker_that_dies_in_an_escalation_tells_once(
    drill: Drill, provokes: Provokes, unique_goal: str, point: str
) -> None:
    stack = drill.stack
    body = start(unique_goal)
    body["recipeRef"] = {**RECIPE, "v": hasty(stack, f"hasty {point}")}
    wid = stack.api.post("/api/run", json=body).json()["workflowID"]
    provokes(wid, "nobody answers at its gate")

    drill.at(point, lambda: stack.api.get(f"/api/runs/{wid}"))

    gate = identity.gate_key(identity.run_id(wid))
    eventually(lambda: find_escalation(stack, wid, gate) == [{"status": "SUCCESS"}], deadline_s=60)
    told = stack.app_sql.rows(
        "SELECT task_key FROM app.artifacts WHERE run_id = %(r)s AND step_id = 'EscalateTimeout'",
        r=identity.run_id(wid),
    )
    assert told == [{"task_key": gate}]
    assert (
        await_status(stack.api, wid, {"ERROR"}, deadline_s=10)["durableStatus"]
        == "retries_exceeded"
    )


def hasty(stack: Stack, version: str) -> str:
    """A version of the recipe whose gates wait one second."""
    spec = recipes.spec(stack.app_sql)
    template = spec["intentTmpl"]
    constraints = {**template["constraints"], "planApprovalTimeoutS": 1}
    recipes.plant(
        stack, {**spec, "v": version, "intentTmpl": {**template, "constraints": constraints}}
    )
    return version


def find_escalation(stack: Stack, wid: str, gate: str) -> list[dict[str, Any]]:
    return stack.sys_sql.rows(
        "SELECT status FROM dbos.workflow_status WHERE workflow_uuid = %(e)s",
        e=f"esc:{wid}:{gate}",
    )


@pytest.mark.claim("S09.crash-every-boundary")
@pytest.mark.parametrize("point", MARKS)
def test_a_worker_that_dies_at_a_mark_leaves_each_once(
    drill: Drill, unique_goal: str, point: str
) -> None:
    stack = drill.stack
    wf = identity.workflow_id(unique_goal)
    assert stack.api.post(f"/crashdemo?wf={wf}").status == 202

    drill.at(point, lambda: stack.api.get(f"/marks?wf={wf}"))

    eventually(lambda: stack.api.get(f"/marks?wf={wf}").json()["s2"] > 0, deadline_s=60)
    marks = "SELECT mark, count(*) AS times FROM app.marks WHERE workflow_id = %(w)s GROUP BY mark"
    logged = {row["mark"]: row["times"] for row in stack.app_sql.rows(marks, w=wf)}
    assert logged == {"s1": 1, "s2": 1}


@pytest.mark.claim("S09.crash-every-boundary")
@pytest.mark.parametrize("point", TICK)
def test_a_worker_that_dies_in_a_tick_ticks_once(
    stacks: Stacks, spec11_target: Target, ledger: Ledger, point: str
) -> None:
    ticking = {"SPEC11_TICK_S": "1"}
    worker = spec11_target.process("worker")
    with stacks.start(only=(), extra={"ticker": worker.using(ticking)}) as stack:
        stack.process("ticker").stop()
        before = len(ticks(stack))
        await_death(stack.spawn(arm_process(worker, point, **ticking)))
        ledger.hit(point, over_work(stack))
        stack.process("ticker").start()

        seen = eventually(
            lambda: ticks(stack), deadline_s=30, until=lambda now: len(now) > before + 1
        )

        assert len(set(seen)) == len(seen)


def ticks(stack: Stack) -> list[str]:
    rows = stack.app_sql.rows(
        "SELECT mark FROM app.marks WHERE mark LIKE 'tick%%' ORDER BY id", x=0
    )
    return [row["mark"] for row in rows]


REQUESTS = {  # of one that died before its commit, and after it: what its repeat is answered
    "start": (201, 200),
    "stored": (200, 200),
    "reply": (200, 200),
    "event": (200, 200),
    "cancel": (202, 409),
    "resume": (202, 409),
    "fork": (202, 202),
    "retry": (202, 409),
    "demo": (202, 202),
}


def test_every_point_of_the_engine_is_hit_here_or_over_patches(cellar: Stack) -> None:
    listed = json.loads(engine(cellar, "points", "--json").stdout)

    hit = {*HAPPY, *SAD, *REPAIR, *ESCALATION, *MARKS, *TICK}
    hit |= {*patches.WRITING, *patches.TAKING_BACK}  # by S13
    hit |= {*promotions.WORKER_POINTS, *promotions.API_POINTS}  # by S12
    hit |= {f"api.{name}.{moment}" for name in REQUESTS for moment in MOMENTS_OF_API}
    assert hit == set(listed)


@pytest.fixture(scope="module")
def served(stacks: Stacks) -> Iterator[Stack]:
    """A private stack whose armed api-shims come and go beside a sound one."""
    with stacks.start() as stack:
        yield stack


@dataclass(frozen=True)
class Cut:
    """A stack on which an api-shim dies under a request."""

    stack: Stack
    api: Process
    ledger: Ledger

    def at(self, point: str, path: str, body: object) -> None:
        """The request got no answer: the armed api-shim died under it."""
        process = arm_process(self.api, point)
        dying = self.stack.begin(process)
        cut_off(lambda: self.stack.api_at(process.name).post(path, json=body))
        await_death(dying)
        self.ledger.hit(point, 1)


@pytest.fixture
def cut(served: Stack, spec11_target: Target, ledger: Ledger) -> Cut:
    """The stack that goes on serving while others die."""
    return Cut(served, spec11_target.process("api"), ledger)


def prepare_run(stack: Stack, goal: str, request: str) -> str:
    """The run that the request is about, in the state in which it is legal."""
    wid = identity.workflow_id(goal)
    if request == "start":
        return wid
    assert stack.api.post("/api/run", json=start(goal)).status == 201
    if request == "retry":
        assert await_end(stack, wid, "no")["status"] == "ERROR"
    elif request != "stored":
        await_status(stack.api, wid, {"WAITING_INPUT"}, deadline_s=20)
    if request == "resume":
        assert stack.api.post(f"/api/ops/wf/{wid}/cancel", json=BY).status == 202
    return wid


def describe_request(goal: str, request: str) -> tuple[str, Any]:
    """Path and body of the request about the run of ``goal``."""
    wid = identity.workflow_id(goal)
    gate = identity.gate_key(identity.run_id(wid))
    about: dict[str, tuple[str, Any]] = {
        "start": ("/api/run", start(goal)),
        "stored": ("/api/runs", {"intentId": wid, "queuePartitionKey": PARTITION}),
        "reply": (f"/api/runs/{wid}/gates/{gate}/reply", reply()),
        "event": (EVENTS, event(wid, gate)),
        "fork": (f"/api/ops/wf/{wid}/fork", {**BY, "stepN": 1}),
        "retry": (f"/api/runs/{wid}/retry", None),
        "demo": (f"/crashdemo?wf=demo-{wid}", None),
    }
    return about.get(request, (f"/api/ops/wf/{wid}/{request}", BY))


@pytest.mark.claim("S09.crash-every-boundary")
@pytest.mark.parametrize("point", [f"{name}.{at}" for name in REQUESTS for at in MOMENTS_OF_API])
def test_an_api_shim_that_dies_under_a_request_did_all_of_it_or_nothing(
    cut: Cut, provokes: Provokes, unique_goal: str, point: str
) -> None:
    stack = cut.stack
    request, _, moment = point.partition(".")
    wid = prepare_run(stack, unique_goal, request)
    provokes(wid, "an api-shim dies under a request about it")
    path, body = describe_request(unique_goal, request)
    before = effects(stack, wid)

    cut.at(f"api.{point}", path, body)

    after = effects(stack, wid)
    again = stack.api.post(path, json=body)
    assert again.status == REQUESTS[request][moment == "committed"]
    assert (after == before) == (moment == "received" or request == "stored")


def effects(stack: Stack, wid: str) -> dict[str, Any]:
    """What a request about the run would have written, in both schemas."""
    return {
        "runs": stack.app_sql.rows(
            "SELECT id, execution_id, status = 'canceled' AS canceled FROM app.runs"
            " WHERE workflow_id = %(w)s OR forked_from = %(r)s ORDER BY id",
            w=wid, r=identity.run_id(wid),
        ),
        "answers": stack.app_sql.rows(
            "SELECT dedupe_key FROM app.human_interactions WHERE workflow_id = %(w)s", w=wid
        ),
        "audit": stack.app_sql.value(
            "SELECT count(*) FROM app.artifacts WHERE step_id = 'OPS'"
            " AND inline ->> 'targetWorkflowID' = %(w)s",
            w=wid,
        ),
        "workflows": stack.sys_sql.value(
            "SELECT count(*) FROM dbos.workflow_status WHERE workflow_uuid = %(w)s"
            " OR forked_from = %(w)s OR workflow_uuid = ANY(%(more)s)",
            w=wid, more=[f"rep:{wid}:1", f"demo-{wid}"],
        ),
    }  # fmt: skip
