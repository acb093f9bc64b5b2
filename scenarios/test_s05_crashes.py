"""S05: whoever dies under an answer or at a gate, no half of it survives and nothing is lost."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from pytest_spec11.stacks import Control, Stack
from pytest_spec11.target import Target
from pytest_spec11.waiting import GIVE_UP_S, eventually
from scenarios.support.contract.events import ACCEPTED, LEDGER, REPLAYED
from scenarios.support.faults.crash_points import DIES_S, arm_process, await_death, cut_off
from scenarios.support.runs import exactly_once
from scenarios.support.runs.gates import MESSAGES, Gate, approval, await_end, start_run, waiting
from scenarios.support.runs.run_lifecycle import PARK_S, await_status
from scenarios.support.runs.workshop import Workshop

pytestmark = pytest.mark.S05

HELD = 0x5EC11A5  # the prover's advisory lock
PLANTED = f"""
CREATE SEQUENCE public.prover_ledger;  -- counts also what is rolled back
CREATE FUNCTION public.prover_counts() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    PERFORM nextval('public.prover_ledger');
    RETURN NEW;
END $$;
CREATE FUNCTION public.prover_holds() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock({HELD});
    RETURN NEW;
END $$;
CREATE TRIGGER prover_counts BEFORE INSERT ON app.human_interactions
    FOR EACH ROW EXECUTE FUNCTION public.prover_counts();
CREATE TRIGGER prover_holds BEFORE INSERT ON dbos.notifications
    FOR EACH ROW EXECUTE FUNCTION public.prover_holds();
"""
REMOVED = """
DROP TRIGGER prover_counts ON app.human_interactions;
DROP TRIGGER prover_holds ON dbos.notifications;
DROP FUNCTION public.prover_counts;
DROP FUNCTION public.prover_holds;
DROP SEQUENCE public.prover_ledger;
"""
COUNTED = "SELECT is_called AS counted FROM public.prover_ledger"
HELD_BACK = (
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
    " AND application_name = 'spec11-api' AND wait_event = 'advisory'"
)
CUT = "SELECT pg_terminate_backend(%(pid)s, 5000) AS gone"


@contextmanager
def between_ledger_and_message(stack: Stack) -> Iterator[None]:
    """While the block runs, an accepted answer gets as far as the ledger, and stands there."""
    stack.admin.execute(PLANTED)
    try:
        with stack.admin.holding(HELD):
            yield
    finally:
        stack.admin.execute(REMOVED)


def halves(stack: Stack, gate: Gate) -> dict[str, Any]:
    """What an accepted answer would have left in each schema."""
    return {
        "ledger": len(stack.app_sql.rows(LEDGER, r=gate.run_id)),
        "state": gate.read_rows(stack.app_sql)["state"],
        "messages": len(stack.sys_sql.rows(MESSAGES, ids=[gate.wid])),
    }


@pytest.mark.claim("S05.stranded-reply-heals")
def test_an_answer_cut_between_ledger_and_message_never_was(
    shop: Workshop, spec11_target: Target, unique_goal: str
) -> None:
    stack = shop.stack
    gate = waiting(stack.api, unique_goal)
    victim = stack.begin(spec11_target.process("api").using({}, name="victim"))
    door = stack.api_at("victim")

    with between_ledger_and_message(stack), ThreadPoolExecutor(1) as pool:
        asked = pool.submit(cut_off, lambda: gate.choose(door))
        (held,) = eventually(lambda: stack.admin.execute(HELD_BACK), deadline_s=10, until=bool)
        counted = stack.admin.execute(COUNTED)
        killed = victim.kill()
        asked.result(GIVE_UP_S)
        gone = stack.admin.execute(CUT, pid=held["pid"])
    left = halves(stack, gate)

    assert (killed, counted, gone) == (-signal.SIGKILL, [{"counted": True}], [{"gone": True}])
    assert left == {"ledger": 0, "state": "PENDING", "messages": 0}
    again = gate.choose(stack.api)
    assert (again.status, again.json()) == (200, ACCEPTED)
    assert await_end(stack.api, stack.sys_sql, gate.wid)["status"] == "SUCCESS"
    assert exactly_once.facts(stack, gate.wid) == exactly_once.expect_success(gate.wid)


@pytest.mark.claim("S05.stranded-reply-heals")
@pytest.mark.parametrize(("moment", "repeated"), [("received", ACCEPTED), ("committed", REPLAYED)])
def test_an_answer_whose_api_shim_dies_counts_if_it_was_committed(
    shop: Workshop, spec11_target: Target, unique_goal: str, moment: str, repeated: dict[str, bool]
) -> None:
    stack = shop.stack
    gate = waiting(stack.api, unique_goal)
    process = arm_process(spec11_target.process("api"), f"api.reply.{moment}")
    dying = stack.begin(process)

    cut_off(lambda: gate.choose(stack.api_at(process.name)))
    await_death(dying)

    if moment == "committed":  # it goes on by itself
        assert await_end(stack.api, stack.sys_sql, gate.wid)["status"] == "SUCCESS"
    else:
        assert halves(stack, gate) == {"ledger": 0, "state": "PENDING", "messages": 0}
    again = gate.choose(stack.api)
    assert (again.status, again.json()) == (200, repeated)
    assert await_end(stack.api, stack.sys_sql, gate.wid)["status"] == "SUCCESS"
    assert exactly_once.facts(stack, gate.wid) == exactly_once.expect_success(gate.wid)


WORD = "SELECT status FROM dbos.workflow_status WHERE workflow_uuid = %(w)s"
GATES = "SELECT state FROM app.human_gates WHERE run_id = %(r)s"
PHASES = {  # where the worker dies, and how the gate stands then
    "before the gate": ("OpenGate.before", []),
    "before the wait": ("OpenGate.after", ["PENDING"]),
    "while waiting": ("", ["PENDING"]),
    "before the decision": ("CloseGate.before", ["RECEIVED"]),
}


def kill_worker(stack: Stack, gate: Gate, mortal: Control, point: str) -> int:
    """How the worker ended that was to die at ``point``, or, without one, while it waits."""
    if point in {"", "CloseGate.before"}:
        await_status(stack.api, gate.wid, {"WAITING_INPUT"}, deadline_s=PARK_S)
    if point == "CloseGate.before":
        wait_until_accepted(stack, gate)
    return mortal.wait_exit(DIES_S) if point else mortal.kill()


def wait_until_accepted(stack: Stack, gate: Gate) -> None:
    """The gate has its answer."""
    assert gate.choose(stack.api).json() == ACCEPTED


@pytest.mark.claim("S05.kill-gate-phases")
@pytest.mark.parametrize("phase", PHASES)
def test_a_worker_that_dies_at_a_gate_asks_once_and_hears_the_answer(
    shop: Workshop, unique_goal: str, phase: str
) -> None:
    stack = shop.stack
    point, stands = PHASES[phase]
    worker = (
        arm_process(shop.worker, f"worker.{point}")
        if point
        else shop.worker.using({}, name="mortal")
    )
    with shop.replace_worker(worker) as mortal:
        gate = approval(start_run(stack.api, unique_goal))
        code = kill_worker(stack, gate, mortal, point)
        cut_short = stack.sys_sql.value(WORD, w=gate.wid)
        found = [row["state"] for row in stack.app_sql.rows(GATES, r=gate.run_id)]
        if found == ["PENDING"]:  # and nobody is there to hear of the answer
            wait_until_accepted(stack, gate)
    if not found:
        await_status(stack.api, gate.wid, {"WAITING_INPUT"}, deadline_s=PARK_S)
        wait_until_accepted(stack, gate)

    assert await_end(stack.api, stack.sys_sql, gate.wid)["status"] == "SUCCESS"
    assert (code, cut_short, found) == (-signal.SIGKILL, "PENDING", stands)
    assert exactly_once.facts(stack, gate.wid) == exactly_once.expect_success(gate.wid)
    told = gate.read_events(stack.sys_sql)
    assert {word: len(values) for word, values in told.items()} == dict.fromkeys(told, 1)
    assert (told["result"][0]["state"], told["decision"][0]["decision"]) == ("RECEIVED", "yes")
