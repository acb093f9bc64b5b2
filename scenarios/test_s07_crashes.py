"""S07: whenever the api-shim dies, what was done is on record, and nothing else is."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import pytest

from pytest_spec11.fixtures import Provokes
from pytest_spec11.stacks import Stack, Stacks
from pytest_spec11.target import Target
from pytest_spec11.waiting import GIVE_UP_S, eventually
from scenarios.support.contract import identity
from scenarios.support.faults.crash_points import arm_process, await_death, cut_off
from scenarios.support.runs.operations import act, act_accepted, audit, words
from scenarios.support.runs.run_lifecycle import park_run

pytestmark = pytest.mark.S07

OPS = {"cancel": {}, "resume": {}, "fork": {"stepN": 1}}
BACK_S = 15.0
KEY = 7
HOLD = f"""
CREATE FUNCTION public.hold() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_advisory_xact_lock({KEY}); RETURN NEW; END $$;
CREATE TRIGGER hold BEFORE {{event}} FOR EACH ROW WHEN ({{when}}) EXECUTE FUNCTION public.hold()
"""
LET_GO = "DROP FUNCTION public.hold CASCADE"
WAITING = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'spec11-api' AND wait_event = 'advisory'
"""
CUT = "SELECT pg_terminate_backend(%(pid)s, 5000)"
# Where an operation is held: at its record, and at what it does.
PLACES = {
    "record": ("INSERT ON app.artifacts", "NEW.step_id = 'OPS'"),
    "effect": (
        "INSERT OR UPDATE ON dbos.workflow_status",
        "NEW.status = 'CANCELLED' OR NEW.workflow_uuid LIKE 'fork_%' OR NEW.workflow_uuid = '{w}'",
    ),
}
FORKS = "SELECT workflow_id FROM app.runs WHERE forked_from = %(r)s"
ENGINE_FORKS = "SELECT workflow_uuid FROM dbos.workflow_status WHERE forked_from = %(w)s"


@pytest.fixture(scope="module")
def served(stacks: Stacks) -> Iterator[Stack]:
    """A private stack whose api-shims die."""
    with stacks.start() as stack:
        yield stack


def prepare_run(stack: Stack, goal: str, op: str) -> str:
    """The workflow id of a run for which the operation is legal."""
    wid: str = park_run(stack.api, f"{goal}, {op}")["workflowID"]
    if op == "resume":
        act_accepted(stack.api, wid, "cancel")
    return wid


def took_place(stack: Stack, wid: str, op: str) -> int:
    """How often the operation had its effect, in both schemas alike."""
    if op == "fork":
        app = {row["workflow_id"] for row in stack.app_sql.rows(FORKS, r=identity.run_id(wid))}
        engine = {row["workflow_uuid"] for row in stack.sys_sql.rows(ENGINE_FORKS, w=wid)}
        assert app == engine
        return len(app)
    is_canceled = {word in {"canceled", "CANCELLED"} for word in words(stack, wid)}
    assert len(is_canceled) == 1
    return is_canceled == {op == "cancel"}


def truthful(stack: Stack, wid: str, op: str) -> int:
    """How often the operation had its effect; each time is on record, and nothing more."""
    times = took_place(stack, wid, op)
    rows = [row["outcome"] for row in audit(stack.app_sql, wid) if row["op"] == op]
    assert rows == ["applied"] * times
    return times


@pytest.mark.claim("S07.audit-survives-crash")
@pytest.mark.parametrize("point", [f"{op}.{at}" for op in OPS for at in ("received", "committed")])
def test_an_operation_is_there_with_its_record_or_not_at_all(
    served: Stack, spec11_target: Target, provokes: Provokes, unique_goal: str, point: str
) -> None:
    op, _, moment = point.partition(".")
    wid = prepare_run(served, unique_goal, op)
    provokes(wid, "an api-shim dies over it")
    process = arm_process(spec11_target.process("api"), f"api.{point}")
    dying = served.begin(process)

    cut_off(lambda: act(served.api_at(process.name), wid, op, **OPS[op]))

    await_death(dying)
    assert truthful(served, wid, op) == (moment == "committed")
    again = act(served.api, wid, op, **OPS[op])
    assert again.status == (409 if moment == "committed" and op != "fork" else 202)
    assert truthful(served, wid, op) == 1 + (moment == "committed" and op == "fork")


@pytest.mark.claim("S07.audit-survives-crash")
@pytest.mark.parametrize("place", PLACES)
def test_what_was_cut_in_half_never_was(
    served: Stack, provokes: Provokes, unique_goal: str, place: str
) -> None:
    stack = served
    wids = {op: prepare_run(stack, unique_goal, op) for op in OPS}
    for wid in wids.values():
        provokes(wid, "an api-shim dies in the middle of an operation on it")
    api = stack.process("api")

    with hold_operations(stack, place, wids["resume"]), ThreadPoolExecutor(len(OPS)) as pool:
        asked = [pool.submit(cut_off, partial(act, stack.api, wids[op], op, **OPS[op]))
                 for op in OPS]  # fmt: skip
        eventually(lambda: len(stack.admin.execute(WAITING)) == len(OPS), deadline_s=BACK_S)
        assert api.kill() == -signal.SIGKILL
        for session in stack.admin.execute(WAITING):
            stack.admin.execute(CUT, pid=session["pid"])
        for each in asked:
            each.result(GIVE_UP_S)
    api.start()

    eventually(lambda: stack.api.get("/healthz").status == 200, deadline_s=BACK_S)
    assert {op: truthful(stack, wid, op) for op, wid in wids.items()} == dict.fromkeys(OPS, 0)
    for op, wid in wids.items():
        act_accepted(stack.api, wid, op, **OPS[op])
    assert {op: truthful(stack, wid, op) for op, wid in wids.items()} == dict.fromkeys(OPS, 1)


@contextmanager
def hold_operations(stack: Stack, place: str, wid: str) -> Iterator[None]:
    """The block runs while operations wait there; ``wid`` is one that will not be CANCELLED."""
    event, when = PLACES[place]
    with stack.admin.holding(KEY):
        stack.admin.execute(HOLD.format(event=event, when=when.format(w=wid)))
        try:
            yield
        finally:
            stack.admin.execute(LET_GO)
