"""K of S09.crash-every-boundary: kills at random under load, of everything that can die.

`make soak`, or `pytest scenarios/soaks/random_kills.py`; `--soak-kills N`.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from pytest_spec11.stacks import Stack, Stacks
from pytest_spec11.target import Target
from scenarios.support.contract.seeded_random import Dice
from scenarios.support.crowds.load_clients import Load
from scenarios.support.faults.crash_points import UNFINISHED, await_end
from scenarios.support.faults.kill_log import Ledger
from scenarios.support.faults.servers import POSTMASTER, on_a_server_of_its_own
from scenarios.support.runs import exactly_once

pytestmark = pytest.mark.S09

CLIENTS = 12
VICTIMS = ("worker", "second", "api", "pg")
WORKING = """
SELECT count(*) FROM dbos.workflow_status w
WHERE status = 'PENDING' AND executor_id = %(executor)s
  AND NOT EXISTS (SELECT FROM app.runs r
                  WHERE r.execution_id = w.workflow_uuid AND r.status = 'waiting_input')
"""
EXECUTORS = {"worker": "w0", "second": "w1"}


@pytest.mark.claim("S09.crash-every-boundary")
def test_kills_at_random_under_load_lose_and_double_nothing(
    stacks: Stacks, spec11_target: Target, unique_goal: str, ledger: Ledger, soak_kills: int
) -> None:
    second = spec11_target.process("worker").using({"DBOS__VMID": "w1"}, name="second")
    target = on_a_server_of_its_own(spec11_target, spec11_target.services[0])
    own = target.process("worker").env["SPEC11_DSN"]
    target = replace(target, processes=(*target.processes, second.using({"SPEC11_DSN": own})))
    dice = Dice(unique_goal)
    with stacks.of(target).start(env={"CHAOS_SLEEP_EXECUTE": "500"}) as stack:
        with put_under_load(stack, unique_goal) as load:
            hits = 0
            while hits < soak_kills:
                load.moves()
                hits += kill_process(stack, load, dice.pick(VICTIMS), ledger)
        for wid in load.wids:
            await_end(stack, wid)

        assert len(load.wids) > CLIENTS
        for wid in load.wids:
            assert exactly_once.facts(stack, wid) == exactly_once.expect_success(wid)
        assert exactly_once.divergent(stack) == []
        assert stack.sys_sql.value(UNFINISHED) == 0


@contextmanager
def put_under_load(stack: Stack, goal: str) -> Iterator[Load]:
    """The block runs while clients start runs and answer them."""
    load = Load(lambda: stack.base_url, goal, CLIENTS)
    load.begin()
    try:
        yield load
    finally:
        load.end()


def kill_process(stack: Stack, load: Load, victim: str, ledger: Ledger) -> bool:
    """Whether the kill hit unfinished work: a frozen process is looked at, and never wakes up."""
    process = stack.process(victim)
    if not process.alive:  # so slow that it was declared lost, and ended itself: here is its `up`
        process.start()
        return False
    if victim == "pg":
        (postmaster,) = stack.admin.execute(POSTMASTER)
        hit = load.in_flight + stack.sys_sql.value(UNFINISHED)
        stack.proc.run(["kill", "-QUIT", postmaster["pid"]])  # its immediate stop
        process.wait_exit()
    else:
        process.signal(signal.SIGSTOP)
        executor = EXECUTORS.get(victim)
        hit = stack.sys_sql.value(WORKING, executor=executor) if executor else load.in_flight
        process.kill()
    ledger.hit(victim, hit)
    process.start()
    return bool(hit)
