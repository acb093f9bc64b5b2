"""Workers die, freeze and are canceled while they write: what stands is what the rows say."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_spec11.waiting import GIVE_UP_S, eventually
from tests.engine.lives import answer, header, wait_for_status
from tests.engine.patch_lab import Lab, column
from tests.engine.shim_process import Shim, running_shim

NO = "Plan approval failed: no"
OLD = {"old": b"old"}
NEW = {"old": b"new", "a/b/made": b"made"}


@pytest.fixture
def lab(own_shim: Shim, tmp_path: Path) -> Lab:
    """A lab of this test alone, which starts its workers."""
    return Lab.empty(own_shim, tmp_path)


def test_killed_between_file_and_mark_a_run_goes_on_and_writes_nothing_again(lab: Lab) -> None:
    (lab.jail / "a").write_bytes(b"old")
    lab.plan("marked", (".tmp/a", "new"), (".tmp/b", "made"))
    with lab.hold_column("applied_at"), lab.worker() as worker:
        wid = lab.start("marked")
        lab.somebody_waits()
        assert worker.kill() == -signal.SIGKILL
    before = (lab.jail / "a").stat()
    assert lab.files() == {"a": b"new"}
    assert column(lab.history(wid), "applied_at") == [None]

    with lab.worker():
        wait_for_status(lab.shim, wid, "WAITING_INPUT")
        after = (lab.jail / "a").stat()

    rows = lab.history(wid)
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert lab.files() == {"a": b"new", "b": b"made"}
    assert [(row["patch_index"], row["attempt"]) for row in rows] == [(0, 1), (1, 1)]
    assert None not in column(rows, "applied_at")


def test_a_file_changed_before_its_mark_is_left_alone_and_the_others_are_restored(
    lab: Lab,
) -> None:
    (lab.jail / "b").write_bytes(b"old")
    lab.plan("foreign", (".tmp/d/a", "made"), (".tmp/b", "new"))
    with lab.hold_column("applied_at", index=1), lab.worker() as worker:
        wid = lab.start("foreign")
        lab.somebody_waits()
        worker.kill()
    assert lab.files() == {"b": b"new", "d": None, "d/a": b"made"}
    (lab.jail / "b").write_bytes(b"edited")

    with lab.worker():
        assert lab.read_failure(wid) == f"PREIMAGE_MISMATCH:{lab.jail / 'b'}"

    rows = lab.history(wid)
    assert lab.files() == {"b": b"edited"}
    assert [(row["applied_at"] is None, row["rolled_back_at"] is None) for row in rows] == [
        (False, False),
        (True, True),
    ]


@pytest.fixture(scope="module")
def crypt(clone: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab in which workers die; each test has files of its own."""
    with running_shim(clone()) as shim:
        yield Lab.empty(shim, tmp_path_factory.mktemp("crypt"))


def prepare_directory(lab: Lab, topic: str) -> Path:
    """A directory with a file that runs about ``topic`` change, beside one that they create."""
    own = lab.jail / topic
    own.mkdir()
    (own / "old").write_bytes(b"old")
    lab.plan(topic, (f".tmp/{topic}/old", "new"), (f".tmp/{topic}/a/b/made", "made"))
    return own


def content(own: Path) -> dict[str, bytes]:
    """Every file below ``own``; directories without one are not overlooked."""
    files = {str(p.relative_to(own)): p.read_bytes() for p in own.rglob("*") if p.is_file()}
    bare = {
        f"{p.relative_to(own)}/": b"" for p in own.rglob("*") if p.is_dir() and not any(p.iterdir())
    }
    return files | bare


@pytest.mark.parametrize(
    "point", ["worker.patch.begun", "worker.patch.written:2", "worker.ApplyPatchST.after"]
)
def test_killed_while_it_writes_a_run_goes_on_where_it_was(crypt: Lab, point: str) -> None:
    topic = f"write.{point}"
    own = prepare_directory(crypt, topic)
    with crypt.dying(point):
        wid = crypt.start(topic)

    with crypt.worker():
        wait_for_status(crypt.shim, wid, "WAITING_INPUT")

    rows = crypt.history(wid)
    assert content(own) == NEW
    assert [(row["patch_index"], row["attempt"]) for row in rows] == [(0, 1), (1, 1)]
    assert None not in column(rows, "applied_at")
    assert column(rows, "preimage_content") == [b"old", None]


@pytest.mark.parametrize(
    "point",
    ["worker.Rollback.before", "worker.patch.restored:2", "worker.Rollback.after"],
)
def test_killed_while_it_fails_a_run_takes_everything_back_once(crypt: Lab, point: str) -> None:
    topic = f"fail.{point}"
    own = prepare_directory(crypt, topic)
    with crypt.dying(point):
        wid = crypt.start(topic)
        wait_for_status(crypt.shim, wid, "WAITING_INPUT")
        assert content(own) == NEW
        answer(crypt.shim, wid, "no")

    with crypt.worker():
        assert crypt.read_failure(wid) == NO

    rows = crypt.history(wid)
    assert content(own) == OLD
    assert [(row["attempt"], row["rolled_back_for"]) for row in rows] == [(1, "failure")] * 2
    assert rows[1]["rolled_back_at"] < rows[0]["rolled_back_at"]


@pytest.mark.parametrize("point", ["worker.patch.restored", "worker.TakeBack.after"])
def test_killed_while_it_compensates_everything_is_taken_back_once(crypt: Lab, point: str) -> None:
    topic = f"cancel.{point}"
    own = prepare_directory(crypt, topic)
    with crypt.dying(point):
        wid = crypt.start(topic)
        wait_for_status(crypt.shim, wid, "WAITING_INPUT")
        crypt.act(wid, "cancel")

    with crypt.worker():
        ended = (
            "SELECT FROM dbos.workflow_status WHERE workflow_uuid LIKE %s AND status = 'SUCCESS'"
        )
        eventually(lambda: len(crypt.shim.rows(ended, f"comp:{wid}:%")) == 1, deadline_s=20)

    rows = crypt.history(wid)
    assert content(own) == OLD
    assert [(row["attempt"], row["rolled_back_for"]) for row in rows] == [(1, "cancel")] * 2
    assert rows[1]["rolled_back_at"] < rows[0]["rolled_back_at"]
    assert header(crypt.shim, wid)["status"] == "CANCELLED"


def test_resumed_before_a_killed_compensation_goes_on_a_run_writes_everything_again(
    crypt: Lab,
) -> None:
    own = prepare_directory(crypt, "half")
    with crypt.dying("worker.patch.restored"):
        wid = crypt.start("half")
        wait_for_status(crypt.shim, wid, "WAITING_INPUT")
        crypt.act(wid, "cancel")
    assert content(own) == {"old": b"new"}
    assert column(crypt.history(wid), "rolled_back_at") == [None, None]
    crypt.act(wid, "resume")

    with crypt.worker():
        answer(crypt.shim, wid)
        wait_for_status(crypt.shim, wid, "SUCCESS")
        crypt.wait_until_compensated(wid)

    assert content(own) == NEW
    assert [(row["attempt"], row["rolled_back_for"]) for row in crypt.history(wid)] == [
        (1, "cancel"), (1, "cancel"), (2, None), (2, None),
    ]  # fmt: skip


@pytest.mark.parametrize("point", ["worker.patch.begun", "worker.patch.written:2"])
def test_killed_while_it_writes_again_a_resumed_run_goes_on(crypt: Lab, point: str) -> None:
    topic = f"again.{point}"
    own = prepare_directory(crypt, topic)
    with crypt.worker():
        wid = crypt.start(topic)
        wait_for_status(crypt.shim, wid, "WAITING_INPUT")
        crypt.act(wid, "cancel")
        eventually(lambda: content(own) == OLD, deadline_s=20)
        eventually(lambda: crypt.history(wid)[0]["rolled_back_at"], deadline_s=20)
    with crypt.dying(point):
        crypt.act(wid, "resume")

    with crypt.worker():
        answer(crypt.shim, wid)
        wait_for_status(crypt.shim, wid, "SUCCESS")

    rows = crypt.history(wid)
    assert content(own) == NEW
    assert [(row["attempt"], row["rolled_back_for"]) for row in rows] == [
        (1, "cancel"), (1, "cancel"), (2, None), (2, None),
    ]  # fmt: skip
    assert None not in column(rows, "applied_at")


def test_canceled_between_file_and_mark_nothing_stays_written(lab: Lab) -> None:
    lab.plan("early", (".tmp/a", "made"), (".tmp/b", "made"))
    with lab.worker():
        with lab.hold_column("applied_at"):
            wid = lab.start("early")
            lab.somebody_waits()
            assert lab.files() == {"a": b"made"}
            lab.act(wid, "cancel")
        lab.wait_until_compensated(wid)
        eventually(lambda: lab.files() == {}, deadline_s=20)
        rows = lab.history(wid)
        lab.act(wid, "resume")
        wait_for_status(lab.shim, wid, "WAITING_INPUT")

    assert [(row["patch_index"], row["rolled_back_for"]) for row in rows] == [(0, "cancel")]
    assert lab.files() == {"a": b"made", "b": b"made"}
    attempts = [(row["patch_index"], row["attempt"]) for row in lab.history(wid)]
    assert attempts == [(0, 1), (0, 2), (1, 2)]


def test_a_frozen_worker_that_thaws_writes_nothing_more(lab: Lab) -> None:
    lab.plan("frozen", (".tmp/a", "made"), (".tmp/b", "made"))
    with lab.worker("w0") as first:
        with lab.hold_column("applied_at"):
            wid = lab.start("frozen")
            lab.somebody_waits()
            first.send(signal.SIGSTOP)
        with lab.worker("w1"):
            wait_for_status(lab.shim, wid, "WAITING_INPUT", deadline_s=30)
            answer(lab.shim, wid, "no")
            wait_for_status(lab.shim, wid, "ERROR")
            first.send(signal.SIGCONT)
            assert first.process.wait(GIVE_UP_S) == 5

    assert lab.files() == {}
    rows = lab.history(wid)
    assert [(row["attempt"], row["rolled_back_for"]) for row in rows] == [(1, "failure")] * 2
