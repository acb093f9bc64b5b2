"""S11: time is counted while a run moves; a run that goes too far ends once, whoever crashes."""

from __future__ import annotations

import pytest

from pytest_spec11.fixtures import Provokes
from pytest_spec11.oracles.files import Files
from pytest_spec11.target import Process
from pytest_spec11.waiting import eventually
from scenarios.support.contract import identity
from scenarios.support.crowds.concurrent_requests import not_before
from scenarios.support.faults.crash_points import await_death
from scenarios.support.runs.budgets import (
    ENGINE,
    RUN,
    approve_plan,
    await_end,
    budget,
    children,
    document,
    reason,
    violation,
    violations,
    words,
)
from scenarios.support.runs.budgets import attempts as tries
from scenarios.support.runs.gates import approval
from scenarios.support.runs.patches import attempts
from scenarios.support.runs.workshop import Workshop

pytestmark = pytest.mark.S11

LIMIT_MS = 3_000
WAITED = """
SELECT extract(epoch FROM closed_at - created_at)::float AS s FROM app.human_gates
WHERE run_id = %(r)s
"""
# How long the run has moved since its gate, which nothing but moving followed.
MOVED = """
SELECT extract(epoch FROM clock_timestamp() - max(at))::float AS s FROM app.status_history
WHERE run_id = %(r)s
"""
ENDING = "NEW.status = 'retries_exceeded'"
LOST = ("worker.Budget.after", "worker.Fail.after")  # what was seen; what was written


def slow(shop: Workshop) -> Process:
    """The workshop's worker, if its tasks took four seconds."""
    return shop.worker.using({"CHAOS_SLEEP_EXECUTE": "4000"}, name="slow")


@pytest.mark.claim("S11.wall-clock-no-waiting")
def test_waiting_for_a_person_costs_no_time(shop: Workshop) -> None:
    wid = shop.park_run("waiting", budget=budget(maxWallClockMS=LIMIT_MS))
    gate = approval(wid)
    asked_s = gate.view(shop.stack.api)["createdAt"] / 1000

    answer = not_before(asked_s + 5, lambda: gate.choose(shop.stack.api))

    assert answer.status == 200
    header = await_end(shop, wid)
    assert (header["status"], header["error"]) == ("SUCCESS", None)
    run = identity.run_id(wid)
    assert shop.stack.app_sql.value(WAITED, r=run) >= 5
    assert violations(shop.stack, wid) == []


@pytest.mark.claim("S11.wall-clock-no-waiting")
def test_executing_costs_time_and_is_stopped_when_it_is_up(
    shop: Workshop, provokes: Provokes
) -> None:
    with shop.replace_worker(slow(shop)):
        wid = approve_plan(shop, "slow", "a", budget=budget(maxWallClockMS=LIMIT_MS))
        provokes(wid, "its task takes longer than its budget allows")
        header = await_end(shop, wid)

    row = violation(shop.stack, wid)
    observed = row["inline"]["observed"]
    assert observed > LIMIT_MS
    assert row["inline"] == document("maxWallClockMS", observed, LIMIT_MS)
    assert (header["status"], header["durableStatus"]) == ("ERROR", "retries_exceeded")
    assert header["error"] == {"message": reason("maxWallClockMS", observed, LIMIT_MS)}
    assert tries(shop.stack, wid) == [("run-test a", 1, "TIMEOUT")]


@pytest.mark.claim("S11.wall-clock-no-waiting")
def test_time_goes_on_while_nobody_works_on_a_run_that_moves(
    shop: Workshop, provokes: Provokes
) -> None:
    with shop.replace_worker(slow(shop)) as other:
        wid = approve_plan(shop, "left alone", "a", budget=budget(maxWallClockMS=LIMIT_MS))
        provokes(wid, "it is left alone for longer than its budget allows")
        eventually(lambda: children(shop.stack, wid) == ["PENDING"], deadline_s=30)
        other.kill()
        run = identity.run_id(wid)
        eventually(lambda: shop.stack.app_sql.value(MOVED, r=run) > 3, deadline_s=30)
        assert violations(shop.stack, wid) == []

    header = await_end(shop, wid)

    row = violation(shop.stack, wid)
    observed = row["inline"]["observed"]
    assert observed > LIMIT_MS
    assert header["error"] == {"message": reason("maxWallClockMS", observed, LIMIT_MS)}
    assert tries(shop.stack, wid) == []


@pytest.mark.claim("S11.recovery-adds-none")
def test_of_a_violation_and_the_end_it_brings_no_half_survives(
    shop: Workshop, provokes: Provokes
) -> None:
    worker = shop.stack.process("worker")
    with shop.hold_writers("UPDATE OF status", ENDING, table="app.runs"):
        wid = approve_plan(shop, "halves", "a", "b", budget=budget(maxFanout=1))
        provokes(wid, "it has more tasks than its budget allows, and its worker dies over it")
        shop.await_writer()
        assert worker.kill() == -9
        shop.end_writers()
    assert violations(shop.stack, wid) == []
    assert words(shop.stack, wid) == ["running", "waiting_input", "running"]
    assert shop.stack.sys_sql.value(ENGINE, w=wid) == "PENDING"

    worker.start()

    assert await_end(shop, wid)["error"] == {"message": reason("maxFanout", 2, 1)}
    assert [row["inline"] for row in violations(shop.stack, wid)] == [document("maxFanout", 2, 1)]
    assert words(shop.stack, wid) == ["running", "waiting_input", "running", "retries_exceeded"]
    assert shop.stack.sys_sql.value(ENGINE, w=wid) == "ERROR"
    assert children(shop.stack, wid) == []


@pytest.mark.claim("S11.recovery-adds-none")
@pytest.mark.parametrize("point", LOST)
def test_a_worker_that_dies_over_a_violation_leaves_one(
    shop: Workshop, provokes: Provokes, point: str
) -> None:
    worker = shop.stack.process("worker")
    worker.stop()
    try:
        wid = shop.start_run(f"dies at {point}", budget=budget(maxWallClockMS=1))
        provokes(wid, "its budget allows no time, and its worker dies over it")
        await_death(shop.spawn_dying(point))
        before = violations(shop.stack, wid)
        assert len(before) == (point == "worker.Fail.after")
    finally:
        worker.start()

    header = await_end(shop, wid)

    row = violation(shop.stack, wid)
    assert [row] == before or not before
    observed = row["inline"]["observed"]
    assert row["inline"] == document("maxWallClockMS", observed, 1)
    assert header["error"] == {"message": reason("maxWallClockMS", observed, 1)}
    assert words(shop.stack, wid) == ["running", "retries_exceeded"]
    assert shop.stack.sys_sql.value(ENGINE, w=wid) == "ERROR"


@pytest.mark.claim("S11.violation-rolls-back")
def test_what_was_patched_is_taken_back(shop: Workshop, files: Files, provokes: Provokes) -> None:
    own = shop.make_directory("taken back")
    (own / "old").write_bytes(b"old")
    shop.set_build("taken back", "run-test", "a", "b")
    wishes = [(".tmp/taken back/old", "new"), (".tmp/taken back/d/made", "new")]
    wid = shop.park_run("taken back", *wishes, budget=budget(maxFanout=1))
    provokes(wid, "it has more tasks than its budget allows")
    assert (files.read(own / "old"), files.read(own / "d/made")) == (b"new", b"new")

    shop.answer(wid, "yes")

    assert await_end(shop, wid)["error"] == {"message": reason("maxFanout", 2, 1)}
    assert (files.read(own / "old"), files.read(own / "d/made")) == (b"old", None)
    assert [path.name for path in own.iterdir()] == ["old"]
    assert attempts(shop.history(wid)) == [(0, 1, "failure"), (1, 1, "failure")]
    assert None not in [row["rolled_back_at"] for row in shop.history(wid)]
    assert [row["inline"] for row in violations(shop.stack, wid)] == [document("maxFanout", 2, 1)]


@pytest.mark.claim("S11.violation-rolls-back")
def test_a_violation_is_on_record_though_nothing_can_be_taken_back(
    shop: Workshop, files: Files, provokes: Provokes
) -> None:
    own = shop.make_directory("kept")
    shop.set_build("kept", "run-test", "a", "b")
    wid = shop.park_run("kept", (".tmp/kept/file", "new"), budget=budget(maxFanout=1))
    provokes(wid, "it goes beyond its budget, and a file was changed meanwhile")
    (own / "file").write_bytes(b"edited")

    shop.answer(wid, "yes")

    said = await_end(shop, wid)["error"]["message"]
    why, source = f"POSTIMAGE_MISMATCH:{own / 'file'}", reason("maxFanout", 2, 1)
    assert said == f"APPLY_PATCH_ROLLBACK_FAILED:{why};source={source}"
    assert files.read(own / "file") == b"edited"
    assert [row["rolled_back_at"] for row in shop.history(wid)] == [None]
    assert [row["inline"] for row in violations(shop.stack, wid)] == [document("maxFanout", 2, 1)]
    assert shop.stack.app_sql.one(RUN, r=identity.run_id(wid))["status"] == "retries_exceeded"
