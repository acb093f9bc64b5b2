"""Runs with a history: canceled, resumed, forked, rejected, repaired, escalated; on one stack."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pytest_spec11.stacks import Stack, Stacks
from pytest_spec11.waiting import eventually
from scenarios.support.contract import identity
from scenarios.support.contract.start_options import BUDGET
from scenarios.support.contract.start_requests import reply, start
from scenarios.support.runs.escalations import read_only_escalation
from scenarios.support.runs.gates import approval, start_run, variant
from scenarios.support.runs.operations import act_accepted, await_settled, fork_run, last_step
from scenarios.support.runs.run_lifecycle import END_S, PARK_S, await_status, complete_run
from scenarios.support.runs.workshop import Workshop, workshop

TOPIC = "a long story"
WAIT_S = 60.0
COMPENSATED = """
SELECT status FROM dbos.workflow_status WHERE name = 'Compensate' AND workflow_uuid LIKE %(like)s
"""
CHILD = """
SELECT workflow_uuid FROM dbos.workflow_status
WHERE parent_workflow_id = %(w)s AND name = 'RunTask' ORDER BY created_at LIMIT 1
"""


@dataclass(frozen=True)
class Saga:
    """``long`` was canceled, resumed, forked, rejected and repaired; nobody answered ``silent``."""

    shop: Workshop
    long: str
    fork: str
    child: str
    child_fork: str
    silent: str
    plain: str

    @property
    def stack(self) -> Stack:
        """The stack of these runs; nothing runs there any more."""
        return self.shop.stack

    @property
    def everyone(self) -> tuple[str, ...]:
        """Every run."""
        return self.long, self.fork, self.silent, self.plain


@contextmanager
def make_history(stacks: Stacks) -> Iterator[Saga]:
    """Make the history and wait until all runs have ended."""
    with workshop(stacks) as shop:
        yield _make_runs(shop)


def _make_runs(shop: Workshop) -> Saga:
    stack, long = shop.stack, _patch_run(shop)
    _canceled_and_resumed(stack, long)
    fork = fork_run(stack.api, long, last_step(stack.sys_sql, long))
    _answer_gate(stack, fork, "yes")
    _answer_gate(stack, long, "no")
    repair: str = stack.api.request("POST", f"/api/runs/{long}/retry").json()["executionID"]
    await_status(stack.api, long, {"WAITING_INPUT"}, deadline_s=WAIT_S)
    _answer_gate(stack, long, "yes")
    child: str = stack.sys_sql.value(CHILD, w=repair)
    child_fork = fork_run(stack.api, child, 1)
    silent = start_run(stack.api, "nobody answers", variant(stack, "hasty", timeoutS=1))
    plain: str = complete_run(stack.api, "a short story")["workflowID"]
    await_status(stack.api, silent, {"ERROR"}, deadline_s=WAIT_S)
    read_only_escalation(stack, approval(silent))
    _still(stack)
    return Saga(shop, long, fork, child, child_fork, silent, plain)


def _patch_run(shop: Workshop) -> str:
    """Start a run with limits whose plan has five tests, changes one file and creates another."""
    own = shop.make_directory(TOPIC)
    (own / "old").write_bytes(b"old \xff")
    shop.set_plan(TOPIC, (f"{own}/old", "new\n"), (f"{own}/made", "made\n"))
    body = start("a long story", form={"topic": TOPIC}, budget=BUDGET, tenantId="acme")
    wid: str = shop.stack.api.post("/api/run", json=body).json()["workflowID"]
    await_status(shop.stack.api, wid, {"WAITING_INPUT"}, deadline_s=PARK_S)
    return wid


def _canceled_and_resumed(stack: Stack, wid: str) -> None:
    act_accepted(stack.api, wid, "cancel")
    eventually(
        lambda: stack.sys_sql.rows(COMPENSATED, like=f"comp:{wid}:%"),
        deadline_s=WAIT_S,
        until=lambda rows: rows == [{"status": "SUCCESS"}],
    )
    act_accepted(stack.api, wid, "resume")
    await_status(stack.api, wid, {"WAITING_INPUT"}, deadline_s=WAIT_S)


def _answer_gate(stack: Stack, wid: str, choice: str) -> None:
    """Answer ``choice`` at the run's newest gate and wait until the execution has ended."""
    await_status(stack.api, wid, {"WAITING_INPUT"}, deadline_s=WAIT_S)
    gate = stack.api.get(f"/api/runs/{wid}/gates").json()[-1]["gateKey"]
    path = f"/api/runs/{wid}/gates/{gate}/reply"
    assert stack.api.post(path, json=reply(choice, key=f"says {choice}")).status == 200
    word = {"yes": "SUCCESS", "no": "ERROR"}[choice]
    header = await_status(stack.api, wid, {word}, deadline_s=WAIT_S)
    await_settled(stack, header["executionID"])


def _still(stack: Stack) -> None:
    """Wait until nothing runs any more."""
    moving = "SELECT count(*) FROM dbos.workflow_status WHERE status IN ('ENQUEUED', 'PENDING')"
    eventually(lambda: stack.sys_sql.value(moving) == 0, deadline_s=END_S)


def run_ids(*wids: str) -> list[str]:
    """The run ids of those workflow ids."""
    return [identity.run_id(wid) for wid in wids]
