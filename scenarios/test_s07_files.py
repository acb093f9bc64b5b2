"""S07: cancel, resume and fork keep the files in step with both schemas."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pytest_spec11.oracles.files import Files
from pytest_spec11.stacks import Control, Stack
from pytest_spec11.waiting import eventually
from scenarios.support.contract import identity
from scenarios.support.contract.start_requests import PARTITION
from scenarios.support.faults.zero_writes import freeze_worker
from scenarios.support.runs.operations import (
    act_accepted,
    await_settled,
    fork_run,
    last_step,
    number_of,
    words,
)
from scenarios.support.runs.patches import attempts, chronological, column
from scenarios.support.runs.rows_of_run import of_run
from scenarios.support.runs.run_lifecycle import END_S, PARK_S, await_status
from scenarios.support.runs.workshop import Workshop

pytestmark = pytest.mark.S07

COMPENSATIONS = """
SELECT workflow_uuid, status FROM dbos.workflow_status
WHERE name = 'Compensate' AND workflow_uuid LIKE %(like)s
"""
STEPS = """
SELECT xmin::text, step_id, attempt, finished_at FROM app.run_steps WHERE run_id = %(r)s
ORDER BY finished_at
"""
RECORDED = """
SELECT function_name, completed_at_epoch_ms FROM dbos.operation_outputs
WHERE workflow_uuid = %(w)s AND function_name IN ('CompileST', 'ApplyPatchST') ORDER BY function_id
"""
CALLS = "SELECT step_id FROM app.opencode_calls WHERE run_id = %(r)s ORDER BY created_at"
PLACE = """
SELECT queue_name, queue_partition_key FROM dbos.workflow_status WHERE workflow_uuid = %(w)s
"""
CANCELED = ("canceled", "CANCELLED")
DONE = ("succeeded", "SUCCESS")


class Bench:
    """A file that a run changes and one that it makes, in a directory of the test's own."""

    def __init__(self, shop: Workshop, files: Files, topic: str) -> None:
        self._shop, self._files, self._topic = shop, files, topic
        self._own = shop.make_directory(topic)
        (self._own / "old").write_bytes(b"old")

    def park_run(self) -> str:
        """The workflow id of a run that has written both, and waits."""
        patches = ((f".tmp/{self._topic}/old", "new"), (f".tmp/{self._topic}/a/made", "made"))
        wid = self._shop.park_run(self._topic, *patches)
        assert self.content() == (b"new", b"made")
        return wid

    def content(self) -> tuple[bytes | None, bytes | None]:
        """What is in either file now."""
        return self._files.read(self._own / "old"), self._files.read(self._own / "a/made")


RESTORED = (b"old", None)
WRITTEN = (b"new", b"made")


def wait_until_compensated(shop: Workshop, wid: str) -> None:
    """The one compensation has ended, and everything that it took back says so."""
    eventually(
        lambda: compensations(shop, wid), deadline_s=END_S,
        until=lambda rows: column(rows, "status") == ["SUCCESS"],
    )  # fmt: skip
    rows = shop.history(wid)
    assert attempts(rows) == [(0, 1, "cancel"), (1, 1, "cancel")]
    assert None not in column(rows, "rolled_back_at")
    assert chronological(rows)


def compensations(shop: Workshop, wid: str) -> list[dict[str, Any]]:
    return shop.stack.sys_sql.rows(COMPENSATIONS, like=f"comp:{wid}:%")


@pytest.mark.claim("S07.cancel-compensates")
def test_a_canceled_run_takes_back_what_it_wrote(shop: Workshop, files: Files) -> None:
    bench = Bench(shop, files, "canceled")
    wid = bench.park_run()

    act_accepted(shop.stack.api, wid, "cancel")

    wait_until_compensated(shop, wid)
    assert bench.content() == RESTORED
    assert words(shop.stack, wid) == CANCELED


@pytest.mark.claim("S07.cancel-compensates")
def test_so_it_does_when_the_worker_dies_right_after_the_answer(
    shop: Workshop, files: Files
) -> None:
    bench = Bench(shop, files, "dies")
    wid = bench.park_run()

    with (
        freeze_worker(shop.stack),
        reborn(shop.stack) as worker,
    ):  # it has done nothing when it dies
        act_accepted(shop.stack.api, wid, "cancel")
        assert worker.kill() == -signal.SIGKILL
        assert words(shop.stack, wid) == CANCELED
        assert bench.content() == WRITTEN
        assert column(compensations(shop, wid), "status") == ["ENQUEUED"]

    wait_until_compensated(shop, wid)
    assert bench.content() == RESTORED
    assert words(shop.stack, wid) == CANCELED


@pytest.mark.claim("S07.cancel-compensates")
def test_so_it_does_when_the_worker_dies_in_the_middle_of_it(shop: Workshop, files: Files) -> None:
    bench = Bench(shop, files, "halfway")
    wid = bench.park_run()

    with reborn(shop.stack) as worker:
        with shop.hold_writers("UPDATE OF rolled_back_at", "NEW.patch_index = 0"):
            act_accepted(shop.stack.api, wid, "cancel")
            shop.await_writer()
            assert worker.kill() == -signal.SIGKILL
            shop.end_writers()
        assert bench.content() == RESTORED  # by file, but not yet by row
        back = column(shop.history(wid), "rolled_back_at")
        assert [each is None for each in back] == [True, False]

    wait_until_compensated(shop, wid)
    assert bench.content() == RESTORED
    assert words(shop.stack, wid) == CANCELED


@contextmanager
def reborn(stack: Stack) -> Iterator[Control]:
    """The worker, which the block kills; another takes its place, whatever became of the block."""
    worker = stack.process("worker")
    try:
        yield worker
    finally:
        worker.restart()


@pytest.mark.claim("S07.resume-same-id")
def test_a_resumed_run_goes_on_where_it_was_and_writes_again(shop: Workshop, files: Files) -> None:
    bench = Bench(shop, files, "resumed")
    wid = bench.park_run()
    run, before = identity.run_id(wid), read_steps(shop, wid)
    act_accepted(shop.stack.api, wid, "cancel")
    wait_until_compensated(shop, wid)
    assert bench.content() == RESTORED

    act_accepted(shop.stack.api, wid, "resume")

    eventually(lambda: bench.content() == WRITTEN, deadline_s=PARK_S)
    await_status(shop.stack.api, wid, {"WAITING_INPUT"}, deadline_s=PARK_S)
    assert shop.stack.sys_sql.one(PLACE, w=wid) == {
        "queue_name": "intentQ", "queue_partition_key": PARTITION,
    }  # fmt: skip
    shop.answer(wid, "yes")
    assert shop.await_end(wid)["status"] == "SUCCESS"
    assert await_settled(shop.stack, wid) == DONE
    assert bench.content() == WRITTEN
    assert attempts(shop.history(wid)) == [
        (0, 1, "cancel"), (1, 1, "cancel"), (0, 2, None), (1, 2, None),
    ]  # fmt: skip
    steps, recorded, calls = read_steps(shop, wid)
    assert (steps[:2], recorded, calls[:1]) == before
    assert [(row["step_id"], row["attempt"]) for row in steps] == [
        ("CompileST", 1), ("ApplyPatchST", 1), ("DecideST", 1), ("ExecuteST", 1),
    ]  # fmt: skip
    assert column(calls, "step_id") == ["CompileST", "DecideST"]
    assert column(shop.stack.app_sql.rows(RUN, r=run), "workflow_id") == [wid]


RUN = "SELECT workflow_id FROM app.runs WHERE id = %(r)s"


def read_steps(shop: Workshop, wid: str) -> tuple[Any, Any, Any]:
    """The run's steps, what the durable engine recorded of the first two, and whom it asked."""
    run = identity.run_id(wid)
    return (
        shop.stack.app_sql.rows(STEPS, r=run),
        shop.stack.sys_sql.rows(RECORDED, w=wid),
        shop.stack.app_sql.rows(CALLS, r=run),
    )


@pytest.mark.claim("S07.resume-same-id")
def test_a_run_resumed_before_anything_was_taken_back_loses_nothing(
    shop: Workshop, files: Files
) -> None:
    bench = Bench(shop, files, "hurried")
    wid = bench.park_run()

    with freeze_worker(shop.stack):
        act_accepted(shop.stack.api, wid, "cancel")
        act_accepted(shop.stack.api, wid, "resume")

    await_status(shop.stack.api, wid, {"WAITING_INPUT"}, deadline_s=PARK_S)
    eventually(
        lambda: compensations(shop, wid), deadline_s=END_S,
        until=lambda rows: column(rows, "status") == ["SUCCESS"],
    )  # fmt: skip
    shop.answer(wid, "yes")
    assert await_settled(shop.stack, wid) == DONE
    assert bench.content() == WRITTEN
    assert {row["rolled_back_for"] for row in shop.history(wid)} == {None}


@pytest.mark.claim("S07.fork-own-run")
@pytest.mark.parametrize("name", ["MAXSTEP", "DecideST", "ApplyPatchST"])
def test_a_fork_has_its_own_patches_and_touches_no_row_of_its_source(
    shop: Workshop, files: Files, name: str
) -> None:
    stack = shop.stack
    bench = Bench(shop, files, f"forked-{name}")
    wid = bench.park_run()
    shop.answer(wid, "yes")
    assert await_settled(stack, wid) == DONE
    step = (
        last_step(stack.sys_sql, wid) if name == "MAXSTEP" else number_of(stack.sys_sql, wid, name)
    )
    before = of_run(stack, wid)

    fork = fork_run(stack.api, wid, step)

    if name == "ApplyPatchST":
        await_status(stack.api, fork, {"WAITING_INPUT"}, deadline_s=PARK_S)
        rows = shop.history(fork)
        assert attempts(rows) == [(0, 1, None), (1, 1, None)]
        assert column(rows, "preimage_content") == [b"new", b"made"]
        shop.answer(fork, "yes")
    else:
        assert shop.history(fork) == []  # what stands was written by its source
    assert await_settled(stack, fork) == DONE
    assert bench.content() == WRITTEN
    assert of_run(stack, wid, but=[fork]) == before
    assert len(before["app.patch_history"]) == 2
    own = [row["step_id"] for row in stack.app_sql.rows(STEPS, r=identity.run_id(fork))]
    assert own == ["CompileST", "ApplyPatchST", "DecideST", "ExecuteST"]


@pytest.mark.claim("S07.fork-own-run")
def test_a_canceled_fork_takes_back_its_own_writing_alone(shop: Workshop, files: Files) -> None:
    bench = Bench(shop, files, "fork-gone")
    wid = bench.park_run()
    shop.answer(wid, "yes")
    assert await_settled(shop.stack, wid) == DONE
    before = of_run(shop.stack, wid)
    fork = fork_run(shop.stack.api, wid, number_of(shop.stack.sys_sql, wid, "ApplyPatchST"))
    await_status(shop.stack.api, fork, {"WAITING_INPUT"}, deadline_s=PARK_S)

    act_accepted(shop.stack.api, fork, "cancel")

    wait_until_compensated(shop, fork)
    assert bench.content() == WRITTEN
    assert of_run(shop.stack, wid, but=[fork]) == before
