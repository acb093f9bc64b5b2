"""Every byte that a run writes can be taken back, whoever dies on the way, or the run says so."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from pytest_spec11.waiting import eventually
from tests.engine.lives import BY, answer, engine_ended, header, reached
from tests.engine.patch_lab import Lab
from tests.engine.shim_process import Shim, running_shim

NO = "Plan approval failed: no"
ARTIFACTS = """
SELECT idx, kind, uri, inline FROM app.artifacts
WHERE step_id = 'ApplyPatchST' AND run_id = %s ORDER BY idx
"""
COMPENSATED = "SELECT status FROM dbos.workflow_status WHERE name = 'Compensate' AND status = %s"


def a_lab(shim: Shim, directory: Path) -> Lab:
    """A lab with an empty jail."""
    made = Lab(shim, (directory / "workspace").resolve(), directory / "fixtures")
    made.jail.mkdir(parents=True)
    made.fixtures.mkdir()
    return made


@pytest.fixture(scope="module")
def crowd(clone: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab with a worker that all tests of this module share; each has files of its own."""
    with running_shim(clone()) as shim:
        made = a_lab(shim, tmp_path_factory.mktemp("crowd"))
        with made.worker():
            yield made


@pytest.fixture
def lab(own_shim: Shim, tmp_path: Path) -> Lab:
    """A lab of this test alone, which starts its workers."""
    return a_lab(own_shim, tmp_path)


def hashed(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def parked(lab: Lab, topic: str, *patches: tuple[str, str]) -> str:
    """A new run that has patched and waits for a person."""
    lab.plan(topic, *patches)
    wid = lab.start(topic)
    reached(lab.shim, wid, "WAITING_INPUT")
    return wid


def failed(lab: Lab, wid: str) -> str:
    """What the run said when it failed."""
    return str(reached(lab.shim, wid, "ERROR")["error"]["message"])


def times(rows: list[dict[str, Any]], column: str) -> list[Any]:
    return [row[column] for row in rows]


def act(lab: Lab, wid: str, op: str) -> None:
    assert lab.shim.http.post(f"/api/ops/wf/{wid}/{op}", json=BY).status_code == 202


def compensated(lab: Lab, word: str = "SUCCESS") -> None:
    """One compensation ended so."""
    eventually(lambda: len(lab.shim.rows(COMPENSATED, word)) == 1, deadline_s=20)


def test_while_a_run_waits_its_patches_stand_and_are_on_record(crowd: Lab) -> None:
    (crowd.jail / "seen").mkdir()
    (crowd.jail / "seen/a.txt").write_text("alt ü\n", encoding="utf-8")

    wid = parked(
        crowd, "seen", (".tmp/seen/a.txt", "neu ü\n"), (f"{crowd.jail}/seen/b/c.txt", "created\n")
    )

    rows = crowd.history(wid)
    paths = [str(crowd.jail / "seen/a.txt"), str(crowd.jail / "seen/b/c.txt")]
    assert [Path(path).read_text(encoding="utf-8") for path in paths] == ["neu ü\n", "created\n"]
    assert times(rows, "target_path") == paths
    assert [(row["patch_index"], row["attempt"]) for row in rows] == [(0, 1), (1, 1)]
    assert times(rows, "preimage_hash") == [hashed("alt ü\n"), None]
    assert times(rows, "preimage_content") == ["alt ü\n".encode(), None]
    assert times(rows, "postimage_hash") == [hashed("neu ü\n"), hashed("created\n")]
    assert times(rows, "diff_hash") == [hashed("+neu ü\n"), hashed("+created\n")]
    assert all(row["created_at"] <= row["applied_at"] for row in rows)
    assert rows[0]["applied_at"] < rows[1]["applied_at"]
    assert times(rows, "rolled_back_at") == [None, None]
    shown = crowd.shim.http.get(f"/api/runs/{wid}/steps/ApplyPatchST/patches").json()
    assert shown == [
        {
            "patchIndex": row["patch_index"],
            "targetPath": row["target_path"],
            "preimageHash": row["preimage_hash"],
            "postimageHash": row["postimage_hash"],
            "diffHash": row["diff_hash"],
            "appliedAt": int(row["applied_at"].timestamp() * 1000),
            "rolledBackAt": None,
            "createdAt": int(row["created_at"].timestamp() * 1000),
        }
        for row in rows
    ]
    kept = crowd.shim.rows(ARTIFACTS, header(crowd.shim, wid)["runId"])
    names = ("patchIndex", "targetPath", "preimageHash", "postimageHash", "diffHash")
    assert [(row["idx"], row["kind"]) for row in kept] == [(0, "patch_apply"), (1, "patch_apply")]
    assert [row["inline"] for row in kept] == [{name: one[name] for name in names} for one in shown]
    assert [row["uri"].rsplit("/", 1)[1] for row in kept] == ["patch-0.json", "patch-1.json"]


def test_the_plan_shows_what_it_wants_written_and_the_build_does_not(crowd: Lab) -> None:
    wid = parked(crowd, "plan card", (".tmp/card.txt", "shown"))
    assert answer(crowd.shim, wid) == 200
    ended = reached(crowd.shim, wid, "SUCCESS")

    card = crowd.shim.http.get(
        f"/api/artifacts/artifact://run/{ended['runId']}/step/CompileST/task//plan.json"
    ).json()
    asked = crowd.shim.rows(
        "SELECT prompt FROM app.opencode_calls WHERE agent = 'build' AND run_id = %s",
        ended["runId"],
    )

    assert card["patchPlan"] == [
        {"targetPath": ".tmp/card.txt", "postimageContent": "shown", "diffText": "+shown"}
    ]
    assert "shown" not in asked[0]["prompt"]
    assert (crowd.jail / "card.txt").read_text(encoding="utf-8") == "shown"


def test_a_step_without_patches_shows_none_and_an_unknown_run_is_404(crowd: Lab) -> None:
    wid = parked(crowd, "elsewhere", (".tmp/elsewhere.txt", ""))

    other = crowd.shim.http.get(f"/api/runs/{wid}/steps/DecideST/patches")
    unknown = crowd.shim.http.get("/api/runs/nobody/steps/ApplyPatchST/patches")

    assert (other.status_code, other.json()) == (200, [])
    assert (unknown.status_code, unknown.json()["error"]) == (404, "run not found")


def test_a_no_restores_bytes_and_mode_and_deletes_what_was_created(crowd: Lab) -> None:
    own = crowd.jail / "no"
    own.mkdir()
    (own / "changed").write_bytes(b"caf\xe9\r\n\0")
    (own / "changed").chmod(0o640)
    (own / "empty").write_bytes(b"")
    wid = parked(
        crowd,
        "no",
        (".tmp/no/changed", "new"),
        (".tmp/no/empty", "full"),
        (".tmp/no/a/b/created", "new"),
        (".tmp/no/a/b/too", ""),
    )
    assert (own / "changed").stat().st_mode & 0o777 == 0o640
    assert (own / "a/b/too").read_bytes() == b""

    assert answer(crowd.shim, wid, "no") == 200

    assert failed(crowd, wid) == NO
    assert {path.name for path in own.iterdir()} == {"changed", "empty"}
    assert (own / "changed").read_bytes() == b"caf\xe9\r\n\0"
    assert (own / "changed").stat().st_mode & 0o777 == 0o640
    assert (own / "empty").read_bytes() == b""
    rows = crowd.history(wid)
    assert times(rows, "rolled_back_for") == ["failure"] * 4
    assert all(row["created_at"] <= row["applied_at"] <= row["rolled_back_at"] for row in rows)
    back = times(rows, "rolled_back_at")
    assert back == sorted(back, reverse=True)
    assert len(set(back)) == 4
    ended = header(crowd.shim, wid)
    assert (ended["durableStatus"], ended["nextAction"]) == ("retries_exceeded", "REPAIR")
    assert engine_ended(crowd.shim, wid) == "ERROR"


def test_patches_of_one_file_end_at_its_first_content(crowd: Lab) -> None:
    target = crowd.jail / "twice"
    target.write_bytes(b"first")
    path = ".tmp/twice"
    wid = parked(crowd, "twice", (path, "second"), (path, "first"), (path, "third"))
    assert target.read_bytes() == b"third"

    answer(crowd.shim, wid, "no")

    assert failed(crowd, wid) == NO
    assert target.read_bytes() == b"first"
    back = times(crowd.history(wid), "rolled_back_at")
    assert back[0] > back[1] > back[2]


def test_what_somebody_changed_is_kept_and_the_run_says_so(crowd: Lab) -> None:
    own = crowd.jail / "tamper"
    wid = parked(crowd, "tamper", (".tmp/tamper/a", "a"), (".tmp/tamper/b", "b"))
    (own / "b").write_bytes(b"edited")

    answer(crowd.shim, wid, "no")

    why = f"POSTIMAGE_MISMATCH:{own / 'b'}"
    assert failed(crowd, wid) == f"APPLY_PATCH_ROLLBACK_FAILED:{why};source={NO}"
    assert ((own / "a").read_bytes(), (own / "b").read_bytes()) == (b"a", b"edited")
    assert times(crowd.history(wid), "rolled_back_at") == [None, None]
    assert header(crowd.shim, wid)["durableStatus"] == "retries_exceeded"
    assert engine_ended(crowd.shim, wid) == "ERROR"


def test_a_repair_takes_back_first_what_could_not_be_taken_back(crowd: Lab) -> None:
    own = crowd.jail / "mended"
    wid = parked(crowd, "mended", (".tmp/mended/a", "a"), (".tmp/mended/b", "b"))
    (own / "b").write_bytes(b"edited")
    answer(crowd.shim, wid, "no")
    failed(crowd, wid)
    retry = f"/api/runs/{wid}/retry"
    assert crowd.shim.http.post(retry).status_code == 202
    mismatch = f"POSTIMAGE_MISMATCH:{own / 'b'}"
    said = f"APPLY_PATCH_ROLLBACK_FAILED:{mismatch};source={mismatch}"
    eventually(
        lambda: header(crowd.shim, wid),
        deadline_s=20,
        until=lambda seen: (seen["error"] or {}).get("message") == said,
    )

    (own / "b").write_bytes(b"b")
    assert crowd.shim.http.post(retry).status_code == 202
    reached(crowd.shim, wid, "WAITING_INPUT")

    rows = crowd.history(wid)
    assert [(row["attempt"], row["rolled_back_for"]) for row in rows] == [
        (1, "failure"), (1, "failure"), (2, None), (2, None),
    ]  # fmt: skip
    assert times(rows, "preimage_hash") == [None] * 4
    assert ((own / "a").read_bytes(), (own / "b").read_bytes()) == (b"a", b"b")


def test_a_repair_writes_again_as_an_attempt_of_its_own(crowd: Lab) -> None:
    target = crowd.jail / "repaired"
    target.write_bytes(b"old")
    wid = parked(crowd, "repaired", (".tmp/repaired", "new"))
    answer(crowd.shim, wid, "no")
    failed(crowd, wid)
    assert target.read_bytes() == b"old"

    assert crowd.shim.http.post(f"/api/runs/{wid}/retry").status_code == 202
    reached(crowd.shim, wid, "WAITING_INPUT")
    assert target.read_bytes() == b"new"
    assert answer(crowd.shim, wid) == 200
    reached(crowd.shim, wid, "SUCCESS")

    first, second = crowd.history(wid)
    assert target.read_bytes() == b"new"
    assert (first["attempt"], first["rolled_back_for"]) == (1, "failure")
    assert (second["attempt"], second["rolled_back_for"]) == (2, None)
    assert first["rolled_back_at"] <= second["created_at"] <= second["applied_at"]
    [shown] = crowd.shim.http.get(f"/api/runs/{wid}/steps/ApplyPatchST/patches").json()
    assert (shown["rolledBackAt"], shown["createdAt"]) == (
        None, int(second["created_at"].timestamp() * 1000),
    )  # fmt: skip


def _parent(_: Path) -> str:
    return ".tmp/../escaped"


def _absolute(directory: Path) -> str:
    return str(directory / "escaped")


def _nul(_: Path) -> str:
    return ".tmp/nul\0escaped"


def _jail(_: Path) -> str:
    return ".tmp"


def _beside(_: Path) -> str:
    return "escaped"


def _linked_file(directory: Path) -> str:
    (directory / "jail/link").symlink_to(directory / "outside/file")
    return ".tmp/linked/link"


def _linked_directory(directory: Path) -> str:
    (directory / "jail/dir").symlink_to(directory / "outside")
    return ".tmp/linked/dir/escaped"


@pytest.mark.parametrize(
    "way", [_parent, _absolute, _nul, _jail, _beside, _linked_file, _linked_directory]
)
def test_a_patch_that_leads_out_fails_the_run_and_the_one_before_is_taken_back(
    crowd: Lab, tmp_path: Path, way: Callable[[Path], str]
) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/file").write_bytes(b"not yours")
    linked = crowd.jail / "linked"
    linked.mkdir(exist_ok=True)
    (tmp_path / "jail").symlink_to(linked)
    topic = f"out by {way.__name__}"
    first = crowd.jail / f"{way.__name__}.first"
    target = way(tmp_path)
    crowd.plan(topic, (f".tmp/{first.name}", "mine"), (target, "escaped"))

    wid = crowd.start(topic)

    shown = str(crowd.root / target) if "link" in target else target.replace("\0", "<NUL>")
    assert failed(crowd, wid) == f"PATCH_PATH_NOT_ALLOWED:{shown}"
    assert not first.exists()
    begun = [(row["patch_index"], row["rolled_back_for"]) for row in crowd.history(wid)]
    assert begun == ([] if way is _nul else [(0, "failure")])
    assert not (crowd.root / "escaped").exists()
    assert not (tmp_path / "escaped").exists()
    assert [path.name for path in (tmp_path / "outside").iterdir()] == ["file"]
    assert (tmp_path / "outside/file").read_bytes() == b"not yours"
    for link in linked.iterdir():
        link.unlink()


def test_a_canceled_run_is_taken_back_and_a_resumed_one_written_again(crowd: Lab) -> None:
    own = crowd.jail / "resumed"
    own.mkdir()
    (own / "old").write_bytes(b"old")
    wid = parked(crowd, "resumed", (".tmp/resumed/old", "new"), (".tmp/resumed/b/c", "made"))

    act(crowd, wid, "cancel")
    eventually(lambda: (own / "old").read_bytes() == b"old", deadline_s=20)
    eventually(lambda: crowd.history(wid)[0]["rolled_back_at"] is not None, deadline_s=20)
    assert [path.name for path in own.iterdir()] == ["old"]
    assert (header(crowd.shim, wid)["status"], engine_ended(crowd.shim, wid)) == (
        "CANCELLED", "CANCELLED",
    )  # fmt: skip
    act(crowd, wid, "resume")
    reached(crowd.shim, wid, "WAITING_INPUT")
    eventually((own / "b/c").exists, deadline_s=20)
    assert answer(crowd.shim, wid) == 200
    reached(crowd.shim, wid, "SUCCESS")

    rows = crowd.history(wid)
    assert ((own / "old").read_bytes(), (own / "b/c").read_bytes()) == (b"new", b"made")
    assert [(row["attempt"], row["rolled_back_for"]) for row in rows] == [
        (1, "cancel"), (1, "cancel"), (2, None), (2, None),
    ]  # fmt: skip
    back = times(rows, "rolled_back_at")
    assert back[1] < back[0] <= rows[2]["created_at"] < rows[3]["applied_at"]


def test_a_canceled_run_whose_file_was_changed_says_so(lab: Lab) -> None:
    with lab.worker():
        wid = parked(lab, "changed", (".tmp/changed", "new"))
        (lab.jail / "changed").write_bytes(b"edited")
        act(lab, wid, "cancel")
        compensated(lab, "ERROR")

    why = f"POSTIMAGE_MISMATCH:{lab.jail / 'changed'}"
    ended = header(lab.shim, wid)
    assert ended["status"] == "CANCELLED"
    assert ended["error"] == {"message": f"APPLY_PATCH_ROLLBACK_FAILED:{why};source=canceled"}
    assert lab.files() == {"changed": b"edited"}


def test_killed_between_file_and_mark_a_run_goes_on_and_writes_nothing_again(lab: Lab) -> None:
    (lab.jail / "a").write_bytes(b"old")
    lab.plan("marked", (".tmp/a", "new"), (".tmp/b", "made"))
    with lab.held("applied_at"), lab.worker() as worker:
        wid = lab.start("marked")
        lab.somebody_waits()
        assert worker.kill() == -signal.SIGKILL
    before = (lab.jail / "a").stat()
    assert lab.files() == {"a": b"new"}
    assert times(lab.history(wid), "applied_at") == [None]

    with lab.worker():
        reached(lab.shim, wid, "WAITING_INPUT")
        after = (lab.jail / "a").stat()

    rows = lab.history(wid)
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert lab.files() == {"a": b"new", "b": b"made"}
    assert [(row["patch_index"], row["attempt"]) for row in rows] == [(0, 1), (1, 1)]
    assert None not in times(rows, "applied_at")


def test_a_file_changed_before_its_mark_is_left_alone_and_the_others_are_restored(
    lab: Lab,
) -> None:
    (lab.jail / "b").write_bytes(b"old")
    lab.plan("foreign", (".tmp/d/a", "made"), (".tmp/b", "new"))
    with lab.held("applied_at", index=1), lab.worker() as worker:
        wid = lab.start("foreign")
        lab.somebody_waits()
        worker.kill()
    assert lab.files() == {"b": b"new", "d": None, "d/a": b"made"}
    (lab.jail / "b").write_bytes(b"edited")

    with lab.worker():
        assert failed(lab, wid) == f"PREIMAGE_MISMATCH:{lab.jail / 'b'}"

    rows = lab.history(wid)
    assert lab.files() == {"b": b"edited"}
    assert times(rows, "rolled_back_for") == ["failure", None]
    assert times(rows, "applied_at")[1] is None


@pytest.fixture(scope="module")
def crypt(clone: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab in which workers die; each test has files of its own."""
    with running_shim(clone()) as shim:
        yield a_lab(shim, tmp_path_factory.mktemp("crypt"))


def prepared(lab: Lab, topic: str) -> Path:
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


OLD = {"old": b"old"}
NEW = {"old": b"new", "a/b/made": b"made"}


@pytest.mark.parametrize(
    "point", ["worker.patch.begun", "worker.patch.written:2", "worker.ApplyPatchST.after"]
)
def test_killed_while_it_writes_a_run_goes_on_where_it_was(crypt: Lab, point: str) -> None:
    topic = f"write.{point}"
    own = prepared(crypt, topic)
    with crypt.dying(point):
        wid = crypt.start(topic)

    with crypt.worker():
        reached(crypt.shim, wid, "WAITING_INPUT")

    rows = crypt.history(wid)
    assert content(own) == NEW
    assert [(row["patch_index"], row["attempt"]) for row in rows] == [(0, 1), (1, 1)]
    assert None not in times(rows, "applied_at")
    assert times(rows, "preimage_content") == [b"old", None]


@pytest.mark.parametrize(
    "point",
    ["worker.Rollback.before", "worker.patch.restored:2", "worker.Rollback.after"],
)
def test_killed_while_it_fails_a_run_takes_everything_back_once(crypt: Lab, point: str) -> None:
    topic = f"fail.{point}"
    own = prepared(crypt, topic)
    with crypt.dying(point):
        wid = crypt.start(topic)
        reached(crypt.shim, wid, "WAITING_INPUT")
        assert content(own) == NEW
        answer(crypt.shim, wid, "no")

    with crypt.worker():
        assert failed(crypt, wid) == NO

    rows = crypt.history(wid)
    assert content(own) == OLD
    assert [(row["attempt"], row["rolled_back_for"]) for row in rows] == [(1, "failure")] * 2
    assert rows[1]["rolled_back_at"] < rows[0]["rolled_back_at"]


@pytest.mark.parametrize("point", ["worker.patch.restored", "worker.TakeBack.after"])
def test_killed_while_it_compensates_everything_is_taken_back_once(crypt: Lab, point: str) -> None:
    topic = f"cancel.{point}"
    own = prepared(crypt, topic)
    with crypt.dying(point):
        wid = crypt.start(topic)
        reached(crypt.shim, wid, "WAITING_INPUT")
        act(crypt, wid, "cancel")

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


@pytest.mark.parametrize("point", ["worker.patch.begun", "worker.patch.written:2"])
def test_killed_while_it_writes_again_a_resumed_run_goes_on(crypt: Lab, point: str) -> None:
    topic = f"again.{point}"
    own = prepared(crypt, topic)
    with crypt.worker():
        wid = crypt.start(topic)
        reached(crypt.shim, wid, "WAITING_INPUT")
        act(crypt, wid, "cancel")
        eventually(lambda: content(own) == OLD, deadline_s=20)
        eventually(lambda: crypt.history(wid)[0]["rolled_back_at"], deadline_s=20)
    with crypt.dying(point):
        act(crypt, wid, "resume")

    with crypt.worker():
        answer(crypt.shim, wid)
        reached(crypt.shim, wid, "SUCCESS")

    rows = crypt.history(wid)
    assert content(own) == NEW
    assert [(row["attempt"], row["rolled_back_for"]) for row in rows] == [
        (1, "cancel"), (1, "cancel"), (2, None), (2, None),
    ]  # fmt: skip
    assert None not in times(rows, "applied_at")


def test_canceled_between_file_and_mark_nothing_stays_written(lab: Lab) -> None:
    lab.plan("early", (".tmp/a", "made"), (".tmp/b", "made"))
    with lab.worker():
        with lab.held("applied_at"):
            wid = lab.start("early")
            lab.somebody_waits()
            assert lab.files() == {"a": b"made"}
            act(lab, wid, "cancel")
        compensated(lab)
        eventually(lambda: lab.files() == {}, deadline_s=20)
        rows = lab.history(wid)
        act(lab, wid, "resume")
        reached(lab.shim, wid, "WAITING_INPUT")

    assert [(row["patch_index"], row["rolled_back_for"]) for row in rows] == [(0, "cancel")]
    assert lab.files() == {"a": b"made", "b": b"made"}
    attempts = [(row["patch_index"], row["attempt"]) for row in lab.history(wid)]
    assert attempts == [(0, 1), (0, 2), (1, 2)]


def test_a_frozen_worker_that_thaws_writes_nothing_more(lab: Lab) -> None:
    lab.plan("frozen", (".tmp/a", "made"), (".tmp/b", "made"))
    with lab.worker("w0") as first:
        with lab.held("applied_at"):
            wid = lab.start("frozen")
            lab.somebody_waits()
            first.send(signal.SIGSTOP)
        with lab.worker("w1"):
            reached(lab.shim, wid, "WAITING_INPUT", deadline_s=30)
            answer(lab.shim, wid, "no")
            reached(lab.shim, wid, "ERROR")
            first.send(signal.SIGCONT)
            assert first.process.wait(10) == 5

    assert lab.files() == {}
    rows = lab.history(wid)
    assert [(row["attempt"], row["rolled_back_for"]) for row in rows] == [(1, "failure")] * 2
