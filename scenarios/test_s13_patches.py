"""S13: every byte written can be taken back, by row and by file, or the run says so and stops."""

from __future__ import annotations

import stat
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from pytest_spec11.fixtures import Provokes
from pytest_spec11.oracles.files import Files
from pytest_spec11.waiting import eventually
from scenarios.support.contract import identity
from scenarios.support.runs.budgets import budget
from scenarios.support.runs.patches import NO, attempts, chronological, column
from scenarios.support.runs.workshop import Workshop

pytestmark = pytest.mark.S13
ARTIFACTS = """
SELECT idx, kind, inline FROM app.artifacts
WHERE run_id = %(r)s AND step_id = 'ApplyPatchST' ORDER BY idx
"""
KEYS = ("patchIndex", "targetPath", "preimageHash", "postimageHash", "diffHash")
OUTSIDE = b"not yours"


def hash_content(content: bytes | None) -> str | None:
    return None if content is None else sha256(content).hexdigest()


@pytest.mark.claim("S13.apply-visible")
def test_while_a_run_waits_its_patches_stand_and_are_on_record(
    shop: Workshop, files: Files
) -> None:
    own = shop.make_directory("visible")
    (own / "old").write_bytes("früher\n".encode())
    wid = shop.park_run(
        "visible", (".tmp/visible/old", "später\n"), (f"{own}/new/file", "created\n")
    )

    rows = shop.history(wid)

    assert files.read(own / "old") == "später\n".encode()
    assert files.read(own / "new/file") == b"created\n"
    assert column(rows, "target_path") == [str(own / "old"), str(own / "new/file")]
    assert attempts(rows) == [(0, 1, None), (1, 1, None)]
    assert None not in column(rows, "applied_at")
    assert column(rows, "rolled_back_at") == [None, None]
    preimages = ["früher\n".encode(), None]
    assert column(rows, "preimage_content") == preimages
    assert column(rows, "preimage_hash") == [hash_content(each) for each in preimages]
    texts = ["später\n", "created\n"]
    assert column(rows, "postimage_content") == texts
    assert column(rows, "postimage_hash") == [hash_content(text.encode()) for text in texts]
    assert column(rows, "diff_hash") == [hash_content(f"to {text}".encode()) for text in texts]
    kept = shop.stack.app_sql.rows(ARTIFACTS, r=identity.run_id(wid))
    assert [(row["idx"], row["kind"]) for row in kept] == [(0, "patch_apply"), (1, "patch_apply")]
    for row, artifact in zip(rows, kept, strict=True):
        told = [artifact["inline"][key] for key in KEYS]
        names = ("patch_index", "target_path", "preimage_hash", "postimage_hash", "diff_hash")
        assert told == [row[name] for name in names]
        uri = f"artifact://run/{identity.run_id(wid)}/step/ApplyPatchST/task//patch-{row['patch_index']}.json"
        assert shop.stack.api.get(f"/api/artifacts/{uri}").json() == artifact["inline"]


@pytest.mark.claim("S13.reject-restores")
def test_a_no_restores_bytes_and_mode(shop: Workshop, files: Files, provokes: Provokes) -> None:
    own = shop.make_directory("rejected")
    (own / "file").write_bytes(b"caf\xe9\r\n\0")
    (own / "file").chmod(0o641)
    wid = shop.park_run("rejected", (".tmp/rejected/file", "text"))
    provokes(wid, "its plan is rejected")
    assert files.read(own / "file") == b"text"
    assert stat.S_IMODE((own / "file").stat().st_mode) == 0o641

    shop.answer(wid, "no")

    assert shop.await_failure(wid) == NO
    assert files.read(own / "file") == b"caf\xe9\r\n\0"
    assert stat.S_IMODE((own / "file").stat().st_mode) == 0o641
    (row,) = shop.history(wid)
    assert (row["rolled_back_at"] is not None, row["rolled_back_for"]) == (True, "failure")
    word = shop.stack.app_sql.value("SELECT status FROM app.runs WHERE workflow_id = %(w)s", w=wid)
    assert word == "retries_exceeded"


@pytest.mark.claim("S13.chronology")
def test_the_last_written_is_taken_back_first(
    shop: Workshop, files: Files, provokes: Provokes
) -> None:
    own = shop.make_directory("order")
    (own / "file").write_bytes(b"first")
    path = ".tmp/order/file"
    wid = shop.park_run("order", (path, "second"), (".tmp/order/other", "x"), (path, "third"))
    provokes(wid, "its plan is rejected")
    assert files.read(own / "file") == b"third"

    shop.answer(wid, "no")

    assert shop.await_failure(wid) == NO
    rows = shop.history(wid)
    assert attempts(rows) == [(n, 1, "failure") for n in range(3)]
    assert chronological(rows)
    assert column(rows, "preimage_hash") == [hash_content(b"first"), None, hash_content(b"second")]
    assert files.read(own / "file") == b"first"
    assert files.read(own / "other") is None


@pytest.mark.claim("S13.created-file-deleted")
def test_what_was_created_is_gone_and_what_was_empty_stays(
    shop: Workshop, files: Files, provokes: Provokes
) -> None:
    own = shop.make_directory("created")
    (own / "empty").write_bytes(b"")
    wid = shop.park_run(
        "created",
        (".tmp/created/a/b/new", "new"),
        (".tmp/created/a/other", "new"),
        (".tmp/created/empty", "full"),
    )
    provokes(wid, "its plan is rejected")
    assert files.read(own / "a/b/new") == b"new"

    shop.answer(wid, "no")

    assert shop.await_failure(wid) == NO
    assert files.read(own / "a/b/new") is None
    assert files.read(own / "empty") == b""
    assert [path.name for path in own.rglob("*")] == ["empty"]
    rows = shop.history(wid)
    assert column(rows, "preimage_hash") == [None, None, hash_content(b"")]
    assert attempts(rows) == [(n, 1, "failure") for n in range(3)]


@pytest.mark.claim("S13.tamper-fails-closed")
def test_what_somebody_changed_is_kept_and_the_run_says_so(
    shop: Workshop, files: Files, provokes: Provokes
) -> None:
    own = shop.make_directory("tampered")
    wid = shop.park_run("tampered", (".tmp/tampered/a", "a"), (".tmp/tampered/b", "b"))
    provokes(wid, "its plan is rejected, and a file was changed meanwhile")
    (own / "b").write_bytes(b"edited")

    shop.answer(wid, "no")

    why = f"POSTIMAGE_MISMATCH:{own / 'b'}"
    assert shop.await_failure(wid) == f"APPLY_PATCH_ROLLBACK_FAILED:{why};source={NO}"
    assert (files.read(own / "a"), files.read(own / "b")) == (b"a", b"edited")
    assert column(shop.history(wid), "rolled_back_at") == [None, None]


Way = Callable[[Path, Path], str]


def _parent(_: Path, outside: Path) -> str:
    return f".tmp/../../{outside.name}/new"


def _absolute(_: Path, outside: Path) -> str:
    return str(outside / "new")


def _nul(_: Path, __: Path) -> str:
    return ".tmp/nul\0"


def _jail_itself(_: Path, __: Path) -> str:
    return ".tmp"


def _linked_file(own: Path, outside: Path) -> str:
    (own / "link").symlink_to(outside / "file")
    return f".tmp/{own.name}/link"


def _linked_directory(own: Path, outside: Path) -> str:
    (own / "dir").symlink_to(outside)
    return f".tmp/{own.name}/dir/new"


@pytest.fixture
def outside(shop: Workshop, request: pytest.FixtureRequest) -> Path:
    """A directory beside the workspace, with a file that nobody may touch."""
    made = shop.root.parent / f"outside-{request.node.name}".replace("/", "-")
    made.mkdir()
    (made / "file").write_bytes(OUTSIDE)
    return made


@pytest.mark.claim("S13.jail-by-real-path")
@pytest.mark.parametrize(
    "way", [_parent, _absolute, _nul, _jail_itself, _linked_file, _linked_directory]
)
def test_a_patch_that_leads_out_writes_no_byte_there(
    shop: Workshop, files: Files, provokes: Provokes, outside: Path, way: Way
) -> None:
    own = shop.make_directory(f"out{way.__name__}")
    target = way(own, outside)
    (own / "first").write_bytes(b"old")
    wid = shop.start_run(own.name, (f".tmp/{own.name}/first", "new"), (target, "escaped"))
    provokes(wid, "its second patch leads out of the jail")

    said = shop.await_failure(wid)

    shown = f"{shop.root}/{target}" if own.name in target else target.replace("\0", "<NUL>")
    assert said == f"PATCH_PATH_NOT_ALLOWED:{shown}"
    assert [path.name for path in outside.iterdir()] == ["file"]
    assert files.read(outside / "file") == OUTSIDE
    assert files.read(own / "first") == b"old"
    rows = shop.history(wid)
    assert attempts(rows) == ([] if way is _nul else [(0, 1, "failure")])


@pytest.mark.claim("S13.jail-by-real-path")
def test_a_directory_swapped_for_a_link_between_check_and_write_is_noticed(
    shop: Workshop, files: Files, provokes: Provokes, outside: Path
) -> None:
    own = shop.make_directory("swapped")
    (own / "dir").mkdir()
    (own / "dir/file").write_bytes(b"old")
    with shop.hold_writers("INSERT"):
        wid = shop.start_run("swapped", (".tmp/swapped/dir/file", "new"))
        provokes(wid, "a directory is swapped for a link under its patch")
        shop.await_writer()
        (own / "dir").rename(own / "moved")
        (own / "dir").symlink_to(outside)

    assert shop.await_failure(wid) == f"PATCH_PATH_NOT_ALLOWED:{own / 'dir/file'}"
    assert files.read(outside / "file") == OUTSIDE
    assert files.read(own / "moved/file") == b"old"
    assert column(shop.history(wid), "applied_at") == [None]


@pytest.mark.claim("S13.failure-inside-apply")
def test_where_the_second_patch_is_illegal_the_first_is_taken_back(
    shop: Workshop, files: Files, provokes: Provokes, outside: Path
) -> None:
    own = shop.make_directory("inside")
    (own / "first").write_bytes(b"old")
    with shop.hold_writers("INSERT", "NEW.patch_index = 1"):
        wid = shop.start_run("inside", (".tmp/inside/first", "new"), (".tmp/inside/second", "new"))
        provokes(wid, "its second patch becomes illegal")
        shop.await_writer()
        assert files.read(own / "first") == b"new"
        (own / "second").symlink_to(outside / "file")

    said = shop.await_failure(wid)

    assert said == f"PATCH_PATH_NOT_ALLOWED:{own / 'second'}"
    assert files.read(own / "first") == b"old"
    first, second = shop.history(wid)
    assert first["created_at"] <= first["applied_at"] <= first["rolled_back_at"]
    assert (second["applied_at"], second["rolled_back_at"]) == (None, None)
    assert files.read(outside / "file") == OUTSIDE


MOVING_MS = """
SELECT extract(epoch FROM clock_timestamp() - min(at)) * 1000 FROM app.status_history
WHERE run_id = %(r)s
"""


@pytest.mark.claim("S13.failure-inside-apply")
def test_where_the_time_is_up_right_after_the_patches_they_are_taken_back(
    shop: Workshop, files: Files, provokes: Provokes
) -> None:
    own = shop.make_directory("late")
    (own / "first").write_bytes(b"old")
    wishes = [(".tmp/late/first", "new"), (".tmp/late/d/second", "new")]
    with shop.hold_writers("UPDATE OF applied_at", "NEW.patch_index = 1"):
        wid = shop.start_run("late", *wishes, budget=budget(maxWallClockMS=5_000))
        provokes(wid, "its patches take longer than its budget allows")
        shop.await_writer()
        assert files.read(own / "first") == b"new"
        moving = {"r": identity.run_id(wid)}
        eventually(lambda: shop.stack.app_sql.value(MOVING_MS, **moving) > 5_000, deadline_s=60)

    said = shop.await_failure(wid)

    assert said.startswith("budget:maxWallClockMS: observed ")
    assert said.endswith(" > limit 5000 (runtime)")
    assert content(own) == {"first": b"old"}
    assert files.read(own / "first") == b"old"
    rows = shop.history(wid)
    assert attempts(rows) == [(0, 1, "failure"), (1, 1, "failure")]
    assert None not in column(rows, "rolled_back_at")
    assert chronological(rows)
    steps = shop.stack.api.get(f"/api/runs/{wid}/steps").json()
    assert [step["stepID"] for step in steps] == ["CompileST", "ApplyPatchST", "BUDGET"]


def content(own: Path) -> dict[str, bytes]:
    """Every file and every directory below ``own``."""
    return {
        str(path.relative_to(own)): path.read_bytes() if path.is_file() else b""
        for path in own.rglob("*")
    }


@pytest.mark.claim("S13.attempts-kept")
def test_resumed_after_a_cancellation_the_patches_are_written_again(
    shop: Workshop, files: Files
) -> None:
    own = shop.make_directory("resumed")
    (own / "file").write_bytes(b"old")
    wid = shop.park_run("resumed", (".tmp/resumed/file", "new"), (".tmp/resumed/d/made", "new"))
    shop.act(wid, "cancel")
    shop.await_rollback(wid)
    assert (files.read(own / "file"), files.read(own / "d/made")) == (b"old", None)

    shop.act(wid, "resume")
    eventually(lambda: files.read(own / "d/made") == b"new", deadline_s=20)
    shop.answer(wid, "yes")

    assert shop.await_end(wid)["status"] == "SUCCESS"
    rows = shop.history(wid)
    assert attempts(rows) == [(0, 1, "cancel"), (1, 1, "cancel"), (0, 2, None), (1, 2, None)]
    assert chronological(rows[:2])
    assert rows[0]["rolled_back_at"] <= rows[2]["created_at"] <= rows[2]["applied_at"]
    assert files.read(own / "file") == b"new"


@pytest.mark.claim("S13.attempts-kept")
def test_repaired_after_a_no_the_patches_are_written_again(
    shop: Workshop, files: Files, provokes: Provokes
) -> None:
    own = shop.make_directory("repaired")
    (own / "file").write_bytes(b"old")
    wid = shop.park_run("repaired", (".tmp/repaired/file", "new"))
    provokes(wid, "its plan is rejected, then repaired")
    shop.answer(wid, "no")
    assert shop.await_failure(wid) == NO
    assert files.read(own / "file") == b"old"

    assert shop.stack.api.post(f"/api/runs/{wid}/retry").status == 202
    eventually(lambda: files.read(own / "file") == b"new", deadline_s=20)
    eventually(lambda: _waits(shop, wid), deadline_s=20)
    shop.answer(wid, "yes")

    assert shop.await_end(wid)["status"] == "SUCCESS"
    rows = shop.history(wid)
    assert attempts(rows) == [(0, 1, "failure"), (0, 2, None)]
    assert rows[0]["rolled_back_at"] <= rows[1]["created_at"] <= rows[1]["applied_at"]
    assert files.read(own / "file") == b"new"


def _waits(shop: Workshop, wid: str) -> bool:
    return bool(shop.stack.api.get(f"/api/runs/{wid}").json()["status"] == "WAITING_INPUT")


@pytest.mark.claim("S13.patch-view")
def test_the_view_shows_what_sql_holds_and_no_contents(shop: Workshop, provokes: Provokes) -> None:
    shop.make_directory("viewed")
    wid = shop.park_run("viewed", (".tmp/viewed/b", "secret-b"), (".tmp/viewed/a", "secret-a"))
    path = f"/api/runs/{wid}/steps/ApplyPatchST/patches"
    waiting = shop.stack.api.get(path)
    assert waiting.json() == [_describe_row(row) for row in shop.history(wid)]
    provokes(wid, "its plan is rejected")
    shop.answer(wid, "no")
    shop.await_failure(wid)

    ended = shop.stack.api.get(path)

    assert ended.json() == [_describe_row(row) for row in shop.history(wid)]
    assert [each["patchIndex"] for each in ended.json()] == [0, 1]
    assert None not in [each["rolledBackAt"] for each in ended.json()]
    assert b"secret" not in waiting.body + ended.body
    assert shop.stack.api.get(f"/api/runs/{wid}/steps/DecideST/patches").json() == []
    unknown = shop.stack.api.get("/api/runs/nobody/steps/ApplyPatchST/patches")
    assert (unknown.status, unknown.json()) == (404, {"error": "run not found"})


def _describe_row(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "patchIndex": row["patch_index"],
        "targetPath": row["target_path"],
        "preimageHash": row["preimage_hash"],
        "postimageHash": row["postimage_hash"],
        "diffHash": row["diff_hash"],
        "appliedAt": _ms(row["applied_at"]),
        "rolledBackAt": _ms(row["rolled_back_at"]),
        "createdAt": _ms(row["created_at"]),
    }


def _ms(at: Any) -> int | None:
    return None if at is None else int(at.timestamp() * 1000)
