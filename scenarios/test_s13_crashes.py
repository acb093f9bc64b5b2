"""S13: a worker dies while it writes or takes back; what stands is what the rows say."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from pytest_spec11.fixtures import Provokes
from pytest_spec11.oracles.files import Files
from pytest_spec11.oracles.proc import Exit
from pytest_spec11.waiting import eventually
from scenarios.support.contract import identity
from scenarios.support.faults.crash_points import await_death
from scenarios.support.runs.patches import NO, TAKING_BACK, WRITING, attempts, chronological, column
from scenarios.support.runs.run_lifecycle import await_status
from scenarios.support.runs.workshop import Workshop

pytestmark = pytest.mark.S13
AGAIN = """
CREATE FUNCTION public.refusal(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE broken text;
BEGIN EXECUTE statement; RETURN 'nothing was refused';
EXCEPTION WHEN integrity_constraint_violation THEN
    GET STACKED DIAGNOSTICS broken = CONSTRAINT_NAME; RETURN broken;
END $$
"""
OTHER = """
INSERT INTO app.patch_history (run_id, step_id, patch_index, attempt, execution_id, target_path, postimage_hash,
                               diff_hash, postimage_content)
SELECT run_id, step_id, patch_index, attempt, execution_id, target_path, repeat('0', 64), diff_hash, 'other'
FROM app.patch_history WHERE run_id = '{run_id}'
"""  # noqa: E501  # one statement
ROW = "SELECT xmin::text, t::text FROM app.patch_history t WHERE run_id = %(r)s"
READER = """
import hashlib, pathlib, sys, time
target, over = map(pathlib.Path, sys.argv[1:])
seen = {}
while not over.exists():
    digest = hashlib.sha256(target.read_bytes()).hexdigest()
    seen[digest] = seen.get(digest, 0) + 1
    time.sleep(0.0005)
print(*(f"{digest} {count}" for digest, count in sorted(seen.items())), sep="\\n")
"""
WRITTEN = "SELECT count(applied_at) FROM app.patch_history WHERE target_path = %(p)s"
FULL = 200_000  # characters, of four bytes each: the largest that a plan may want written
OLD = {"old": b"old"}
NEW = {"old": b"new", "a/made": b"made"}


@pytest.fixture
def empty(shop: Workshop) -> Iterator[Workshop]:
    """The workshop without a worker; a sound one is there again after the test."""
    shop.stack.process("worker").stop()
    yield shop
    shop.stack.process("worker").restart()


def prepare_directory(shop: Workshop, topic: str) -> tuple[Path, list[tuple[str, str]]]:
    """A directory with a file, and patches that change it and create another."""
    own = shop.make_directory(topic)
    (own / "old").write_bytes(b"old")
    return own, [(f".tmp/{topic}/old", "new"), (f".tmp/{topic}/a/made", "made")]


def content(files: Files, own: Path) -> dict[str, bytes | None]:
    """Every file below ``own``, as the oracle reads it; no directory without one."""
    found = {
        str(path.relative_to(own)): files.read(path) for path in own.rglob("*") if path.is_file()
    }
    assert [path for path in own.rglob("*") if path.is_dir() and not any(path.iterdir())] == []
    return found


@pytest.mark.claim("S13.crash-write-mark")
@pytest.mark.parametrize("point", WRITING)
def test_a_worker_that_dies_while_it_writes_leaves_a_run_that_goes_on(
    empty: Workshop, files: Files, point: str
) -> None:
    own, patches = prepare_directory(empty, point)
    wid = empty.start_run(point, *patches)
    await_death(empty.spawn_dying(point))
    assert content(files, own)["old"] == (b"new" if point.endswith("written") else b"old")
    assert column(empty.history(wid), "applied_at") == [None]

    empty.stack.process("worker").start()
    await_status(empty.stack.api, wid, {"WAITING_INPUT"}, deadline_s=30)

    rows = empty.history(wid)
    assert content(files, own) == NEW
    assert attempts(rows) == [(0, 1, None), (1, 1, None)]
    assert None not in column(rows, "applied_at")
    assert column(rows, "preimage_content") == [b"old", None]


@pytest.mark.claim("S13.crash-write-mark")
def test_a_worker_that_dies_while_it_takes_back_leaves_a_run_that_failed_once(
    empty: Workshop, files: Files, provokes: Provokes
) -> None:
    own, patches = prepare_directory(empty, "failing")
    dying = empty.spawn_dying("worker.patch.restored")
    wid = empty.park_run("failing", *patches)
    provokes(wid, "its plan is rejected, and its worker dies over it")
    empty.answer(wid, "no")
    await_death(dying)
    assert content(files, own) == {"old": b"new"}
    assert column(empty.history(wid), "rolled_back_at") == [None, None]

    empty.stack.process("worker").start()

    assert empty.await_failure(wid) == NO
    rows = empty.history(wid)
    assert content(files, own) == OLD
    assert attempts(rows) == [(0, 1, "failure"), (1, 1, "failure")]
    assert chronological(rows)


@pytest.mark.claim("S13.crash-write-mark")
@pytest.mark.parametrize("point", TAKING_BACK)
def test_a_worker_that_dies_while_it_compensates_takes_everything_back_once(
    empty: Workshop, files: Files, point: str
) -> None:
    topic = f"canceled.{point}"
    own, patches = prepare_directory(empty, topic)
    dying = empty.spawn_dying(point)
    wid = empty.park_run(topic, *patches)
    empty.act(wid, "cancel")
    await_death(dying)

    empty.stack.process("worker").start()
    empty.await_rollback(wid)
    eventually(lambda: _compensations(empty, wid) == ["SUCCESS"], deadline_s=30)

    rows = empty.history(wid)
    assert content(files, own) == OLD
    assert attempts(rows) == [(0, 1, "cancel"), (1, 1, "cancel")]
    assert chronological(rows)
    assert empty.await_end(wid)["status"] == "CANCELLED"


def _compensations(shop: Workshop, wid: str) -> list[str]:
    rows = shop.stack.sys_sql.rows(
        "SELECT status FROM dbos.workflow_status WHERE workflow_uuid LIKE %(c)s", c=f"comp:{wid}:%"
    )
    return [row["status"] for row in rows]


@pytest.mark.claim("S13.apply-idempotent")
def test_a_recovery_finds_the_file_written_and_writes_nothing(shop: Workshop, files: Files) -> None:
    own = shop.make_directory("idempotent")
    (own / "file").write_bytes(b"old")
    worker = shop.stack.process("worker")
    with shop.hold_writers("UPDATE OF applied_at"):
        wid = shop.start_run("idempotent", (".tmp/idempotent/file", "new"))
        shop.await_writer()
        assert worker.kill() == -9
        shop.end_writers()
    assert files.read(own / "file") == b"new"
    assert column(shop.history(wid), "applied_at") == [None]
    before = (own / "file").stat()

    worker.start()
    await_status(shop.stack.api, wid, {"WAITING_INPUT"}, deadline_s=30)

    after = (own / "file").stat()
    rows = shop.history(wid)
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert files.read(own / "file") == b"new"
    assert attempts(rows) == [(0, 1, None)]
    assert rows[0]["applied_at"] is not None


@pytest.mark.claim("S13.apply-idempotent")
def test_the_same_patch_with_another_content_is_refused_by_its_key(
    shop: Workshop, files: Files
) -> None:
    own = shop.make_directory("keyed")
    wid = shop.park_run("keyed", (".tmp/keyed/file", "new"))
    run_id = identity.run_id(wid)
    before = shop.stack.app_sql.one(ROW, r=run_id)
    admin = shop.stack.admin
    admin.execute(AGAIN)

    said = admin.execute("SELECT public.refusal(%(q)s)", q=OTHER.format(run_id=run_id))

    assert said == [{"refusal": "patch_history_pkey"}]
    assert shop.stack.app_sql.one(ROW, r=run_id) == before
    assert files.read(own / "file") == b"new"
    assert shop.stack.proc.alive("worker")


@pytest.mark.claim("S13.foreign-content-refused")
def test_a_file_that_is_neither_is_left_alone_and_the_earlier_ones_are_restored(
    shop: Workshop, files: Files, provokes: Provokes
) -> None:
    own = shop.make_directory("foreign")
    (own / "b").write_bytes(b"old")
    names = [f".tmp/foreign/{name}" for name in ("d/a", "b", "c")]
    worker = shop.stack.process("worker")
    with shop.hold_writers("UPDATE OF applied_at", "NEW.patch_index = 2"):
        wid = shop.start_run("foreign", *((name, "new") for name in names))
        provokes(wid, "a file is changed under its patch")
        shop.await_writer()
        assert worker.kill() == -9
        shop.end_writers()
    assert content(files, own) == {"d/a": b"new", "b": b"new", "c": b"new"}
    (own / "c").write_bytes(b"edited")

    worker.start()

    assert shop.await_failure(wid) == f"PREIMAGE_MISMATCH:{own / 'c'}"
    assert content(files, own) == {"b": b"old", "c": b"edited"}
    *earlier, last = shop.history(wid)
    assert chronological(earlier)
    assert (last["applied_at"], last["rolled_back_at"]) == (None, None)


@pytest.mark.claim("S13.atomic-writes")
def test_a_reader_sees_the_old_or_the_new_and_nothing_else(shop: Workshop, files: Files) -> None:
    own = shop.make_directory("atomic")
    target, over, ended = own / "file", own / "over", list[Exit]()
    texts = ["🙂" * FULL, "🙃" * FULL]
    target.write_text(texts[1], encoding="utf-8")
    words = [sys.executable, "-c", READER, str(target), str(over)]
    reader = threading.Thread(target=lambda: ended.append(shop.stack.proc.run(words)))
    reader.start()
    try:
        for turn in range(10):
            wishes = [(".tmp/atomic/file", texts[number % 2]) for number in range(5)]
            wid = shop.start_run(f"atomic.{turn}", *wishes)
            await_status(shop.stack.api, wid, {"WAITING_INPUT"}, deadline_s=60)
    finally:
        over.write_bytes(b"over")
        reader.join()

    written = shop.stack.app_sql.value(WRITTEN, p=str(target))
    assert (written, ended[0].code) == (50, 0)
    seen = dict(line.split() for line in ended[0].stdout.splitlines())
    assert seen.keys() == {sha256(text.encode()).hexdigest() for text in texts}
    assert min(int(count) for count in seen.values()) >= 5
    assert files.sha256(target) in seen
