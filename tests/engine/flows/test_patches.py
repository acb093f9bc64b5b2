"""Every byte that a run writes can be taken back, whoever dies on the way, or the run says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from pytest_spec11.waiting import eventually
from tests.engine.lives import answer, engine_ended, header, wait_for_status
from tests.engine.patch_lab import Lab, column
from tests.engine.shim_process import Shim, running_shim

NO = "Plan approval failed: no"
ARTIFACTS = """
SELECT idx, kind, uri, inline FROM app.artifacts
WHERE step_id = 'ApplyPatchST' AND run_id = %s ORDER BY idx
"""


@pytest.fixture(scope="module")
def crowd(clone: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab with a worker that all tests of this module share; each has files of its own."""
    with running_shim(clone()) as shim:
        made = Lab.empty(shim, tmp_path_factory.mktemp("crowd"))
        with made.worker():
            yield made


@pytest.fixture
def lab(own_shim: Shim, tmp_path: Path) -> Lab:
    """A lab of this test alone, which starts its workers."""
    return Lab.empty(own_shim, tmp_path)


def hash_text(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def test_while_a_run_waits_its_patches_stand_and_are_on_record(crowd: Lab) -> None:
    (crowd.jail / "seen").mkdir()
    (crowd.jail / "seen/a.txt").write_text("alt ü\n", encoding="utf-8")

    wid = crowd.park_run(
        "seen", (".tmp/seen/a.txt", "neu ü\n"), (f"{crowd.jail}/seen/b/c.txt", "created\n")
    )

    rows = crowd.history(wid)
    paths = [str(crowd.jail / "seen/a.txt"), str(crowd.jail / "seen/b/c.txt")]
    assert [Path(path).read_text(encoding="utf-8") for path in paths] == ["neu ü\n", "created\n"]
    assert column(rows, "target_path") == paths
    assert [(row["patch_index"], row["attempt"]) for row in rows] == [(0, 1), (1, 1)]
    assert column(rows, "preimage_hash") == [hash_text("alt ü\n"), None]
    assert column(rows, "preimage_content") == ["alt ü\n".encode(), None]
    assert column(rows, "postimage_hash") == [hash_text("neu ü\n"), hash_text("created\n")]
    assert column(rows, "diff_hash") == [hash_text("+neu ü\n"), hash_text("+created\n")]
    assert all(row["created_at"] <= row["applied_at"] for row in rows)
    assert rows[0]["applied_at"] < rows[1]["applied_at"]
    assert column(rows, "rolled_back_at") == [None, None]
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
    wid = crowd.park_run("plan card", (".tmp/card.txt", "shown"))
    assert answer(crowd.shim, wid) == 200
    ended = wait_for_status(crowd.shim, wid, "SUCCESS")

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


def test_the_largest_plan_is_written(crowd: Lab) -> None:
    wid = crowd.start_largest("largest", 20, 200_000)

    wait_for_status(crowd.shim, wid, "WAITING_INPUT", deadline_s=60)

    assert len(crowd.history(wid)) == 20
    sizes = [path.stat().st_size for path in (crowd.jail / "largest").iterdir()]
    assert sizes == [200_000] * 20


def test_a_step_without_patches_shows_none_and_an_unknown_run_is_404(crowd: Lab) -> None:
    wid = crowd.park_run("elsewhere", (".tmp/elsewhere.txt", ""))

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
    wid = crowd.park_run(
        "no",
        (".tmp/no/changed", "new"),
        (".tmp/no/empty", "full"),
        (".tmp/no/a/b/created", "new"),
        (".tmp/no/a/b/too", ""),
    )
    assert (own / "changed").stat().st_mode & 0o777 == 0o640
    assert (own / "a/b/too").read_bytes() == b""

    assert answer(crowd.shim, wid, "no") == 200

    assert crowd.read_failure(wid) == NO
    assert {path.name for path in own.iterdir()} == {"changed", "empty"}
    assert (own / "changed").read_bytes() == b"caf\xe9\r\n\0"
    assert (own / "changed").stat().st_mode & 0o777 == 0o640
    assert (own / "empty").read_bytes() == b""
    rows = crowd.history(wid)
    assert column(rows, "rolled_back_for") == ["failure"] * 4
    assert all(row["created_at"] <= row["applied_at"] <= row["rolled_back_at"] for row in rows)
    back = column(rows, "rolled_back_at")
    assert back == sorted(back, reverse=True)
    assert len(set(back)) == 4
    ended = header(crowd.shim, wid)
    assert (ended["durableStatus"], ended["nextAction"]) == ("retries_exceeded", "REPAIR")
    assert engine_ended(crowd.shim, wid) == "ERROR"


def test_patches_of_one_file_end_at_its_first_content(crowd: Lab) -> None:
    target = crowd.jail / "twice"
    target.write_bytes(b"first")
    path = ".tmp/twice"
    wid = crowd.park_run("twice", (path, "second"), (path, "first"), (path, "third"))
    assert target.read_bytes() == b"third"

    answer(crowd.shim, wid, "no")

    assert crowd.read_failure(wid) == NO
    assert target.read_bytes() == b"first"
    back = column(crowd.history(wid), "rolled_back_at")
    assert back[0] > back[1] > back[2]


def test_what_somebody_changed_is_kept_and_the_run_says_so(crowd: Lab) -> None:
    own = crowd.jail / "tamper"
    wid = crowd.park_run("tamper", (".tmp/tamper/a", "a"), (".tmp/tamper/b", "b"))
    (own / "b").write_bytes(b"edited")

    answer(crowd.shim, wid, "no")

    why = f"POSTIMAGE_MISMATCH:{own / 'b'}"
    assert crowd.read_failure(wid) == f"APPLY_PATCH_ROLLBACK_FAILED:{why};source={NO}"
    assert ((own / "a").read_bytes(), (own / "b").read_bytes()) == (b"a", b"edited")
    assert column(crowd.history(wid), "rolled_back_at") == [None, None]
    assert header(crowd.shim, wid)["durableStatus"] == "retries_exceeded"
    assert engine_ended(crowd.shim, wid) == "ERROR"


def test_a_repair_takes_back_first_what_could_not_be_taken_back(crowd: Lab) -> None:
    own = crowd.jail / "mended"
    wid = crowd.park_run("mended", (".tmp/mended/a", "a"), (".tmp/mended/b", "b"))
    (own / "b").write_bytes(b"edited")
    answer(crowd.shim, wid, "no")
    crowd.read_failure(wid)
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
    wait_for_status(crowd.shim, wid, "WAITING_INPUT")

    rows = crowd.history(wid)
    assert [(row["attempt"], row["rolled_back_for"]) for row in rows] == [
        (1, "failure"), (1, "failure"), (2, None), (2, None),
    ]  # fmt: skip
    assert column(rows, "preimage_hash") == [None] * 4
    assert ((own / "a").read_bytes(), (own / "b").read_bytes()) == (b"a", b"b")


def test_a_repair_writes_again_as_an_attempt_of_its_own(crowd: Lab) -> None:
    target = crowd.jail / "repaired"
    target.write_bytes(b"old")
    wid = crowd.park_run("repaired", (".tmp/repaired", "new"))
    answer(crowd.shim, wid, "no")
    crowd.read_failure(wid)
    assert target.read_bytes() == b"old"

    assert crowd.shim.http.post(f"/api/runs/{wid}/retry").status_code == 202
    wait_for_status(crowd.shim, wid, "WAITING_INPUT")
    assert target.read_bytes() == b"new"
    assert answer(crowd.shim, wid) == 200
    wait_for_status(crowd.shim, wid, "SUCCESS")

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
    assert crowd.read_failure(wid) == f"PATCH_PATH_NOT_ALLOWED:{shown}"
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
    wid = crowd.park_run("resumed", (".tmp/resumed/old", "new"), (".tmp/resumed/b/c", "made"))

    crowd.act(wid, "cancel")
    eventually(lambda: (own / "old").read_bytes() == b"old", deadline_s=20)
    eventually(lambda: crowd.history(wid)[0]["rolled_back_at"] is not None, deadline_s=20)
    assert [path.name for path in own.iterdir()] == ["old"]
    assert (header(crowd.shim, wid)["status"], engine_ended(crowd.shim, wid)) == (
        "CANCELLED", "CANCELLED",
    )  # fmt: skip
    crowd.act(wid, "resume")
    wait_for_status(crowd.shim, wid, "WAITING_INPUT")
    eventually((own / "b/c").exists, deadline_s=20)
    assert answer(crowd.shim, wid) == 200
    wait_for_status(crowd.shim, wid, "SUCCESS")

    rows = crowd.history(wid)
    assert ((own / "old").read_bytes(), (own / "b/c").read_bytes()) == (b"new", b"made")
    assert [(row["attempt"], row["rolled_back_for"]) for row in rows] == [
        (1, "cancel"), (1, "cancel"), (2, None), (2, None),
    ]  # fmt: skip
    back = column(rows, "rolled_back_at")
    assert back[1] < back[0] <= rows[2]["created_at"] < rows[3]["applied_at"]


def test_a_canceled_run_whose_file_was_changed_says_so(lab: Lab) -> None:
    with lab.worker():
        wid = lab.park_run("changed", (".tmp/changed", "new"))
        (lab.jail / "changed").write_bytes(b"edited")
        lab.act(wid, "cancel")
        lab.wait_until_compensated(wid, "ERROR")

    why = f"POSTIMAGE_MISMATCH:{lab.jail / 'changed'}"
    ended = header(lab.shim, wid)
    assert ended["status"] == "CANCELLED"
    assert ended["error"] == {"message": f"APPLY_PATCH_ROLLBACK_FAILED:{why};source=canceled"}
    assert lab.files() == {"changed": b"edited"}
