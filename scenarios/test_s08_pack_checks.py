"""S08: a pack says by itself whether somebody changed it, and there is none of half a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_spec11.oracles.files import Files
from pytest_spec11.oracles.proc import Exit
from pytest_spec11.run import Run
from pytest_spec11.stacks import Stack
from scenarios.support.contract.commands import engine
from scenarios.support.contract.seeded_random import Dice
from scenarios.support.faults.outages import refusing
from scenarios.support.runs.packs import Pack, faults, pack, seal_pack
from scenarios.support.runs.run_with_history import Saga

pytestmark = pytest.mark.S08

NOBODY = "ih_" + "0" * 64
FLIPS = 500
AT_ONCE = 125  # files for one command


def verify_packs(stack: Stack, *paths: Path) -> Exit:
    """How ``repro --verify`` ended, where no database is."""
    nowhere = {"SPEC11_DSN": "host=127.0.0.1 port=9 dbname=nowhere", "SPEC11_DATA_DIR": "/nowhere"}
    words = ["repro", "--verify", *map(str, paths)]
    return engine(stack, *words, env=nowhere, deadline_s=120)


@pytest.mark.claim("S08.pack-offline")
@pytest.mark.parametrize("which", ["long", "silent", "plain"])
def test_a_pack_holds_by_itself(saga: Saga, files: Files, tmp_path: Path, which: str) -> None:
    out = tmp_path / "pack.json"
    out.write_bytes(pack(saga.stack.api, getattr(saga, which)))

    ended = verify_packs(saga.stack, out)

    assert (ended.code, ended.stderr) == (0, "")
    assert ended.stdout.startswith(f"{out}: holds: ")
    raw = files.read(out)
    assert raw is not None
    assert faults(raw) == []


@pytest.mark.claim("S08.pack-offline")
def test_any_flipped_byte_is_noticed(
    saga: Saga, files: Files, tmp_path: Path, spec11_run: Run
) -> None:
    whole = pack(saga.stack.api, saga.plain)
    dice = Dice(f"flips of {spec11_run.id}")
    flipped = [tmp_path / f"{n}.json" for n in range(FLIPS)]
    for path in flipped:
        raw = bytearray(whole)
        raw[dice.below(len(raw))] ^= 1 << dice.below(8)
        path.write_bytes(raw)
    (tmp_path / "whole.json").write_bytes(whole)

    blind = [path.name for path in flipped if faults(files.read(path) or b"") == []]
    batches = [flipped[n : n + AT_ONCE] for n in range(0, FLIPS, AT_ONCE)]
    said = [verify_packs(saga.stack, *batch) for batch in batches]

    assert blind == []
    lines = [
        line for each in said for line in (*each.stdout.splitlines(), *each.stderr.split("\n"))
    ]
    unnoticed = [
        path.name
        for path in flipped
        if not any(
            f"{path}: differs " in line or f"{path} is not a pack: " in line for line in lines
        )
    ]
    assert unnoticed == []
    assert {each.code for each in said} <= {1, 3}
    assert verify_packs(saga.stack, tmp_path / "whole.json").code == 0
    assert faults(whole) == []


def _byte(row: dict[str, Any], column: str) -> None:
    row[column] = f"~{row[column][1:]}"


def _step_time(found: Pack) -> None:
    row = next(row for row in found["runSteps"] if row["run_id"] == found["run"]["id"])
    row["finished_at"] = f"3{row['finished_at'][1:]}"


def _hide_fault(found: Pack) -> None:
    _byte(found["artifacts"][0], "sha256")
    found["meta"]["redacted"] = ["/artifacts/0/sha256"]


# What somebody changes who then seals the pack anew; what both must name, the command's word first.
FORGERIES: dict[str, tuple[Any, str, str]] = {
    "goal": (lambda p: _byte(p["intent"]["json"], "goal"), "-identity: ", "intent"),
    "intent hash": (lambda p: _byte(p["run"], "intent_hash"), "-identity: ", "intent"),
    "recipe": (lambda p: _byte(p["recipeVersion"]["json"], "name"), "-recipe: ", "recipeVersion"),
    "artifact": (lambda p: _byte(p["artifacts"][0], "sha256"), "-art-", "artifacts"),
    "audit": (lambda p: _byte(p["audits"][0]["inline"], "actor"), "-art-OPS-", "audits"),
    "answer": (
        lambda p: _byte(p["humanInteractions"][0]["payload"], "choice"),
        "-ledger-",
        "humanInteractions",
    ),
    "postimage": (
        lambda p: _byte(p["patchHistory"][0], "postimage_content"),
        "-patch-ApplyPatchST-0-1",
        "patchHistory",
    ),
    "patch time": (
        lambda p: p["patchHistory"][0].update(applied_at=p["run"]["created_at"]),
        "-patch-ApplyPatchST-0-1",
        "patchHistory",
    ),
    "step time": (_step_time, "-step-", "runSteps"),
    "doubled step": (lambda p: p["runSteps"].append(p["runSteps"][0]), "/runSteps: ", "runSteps"),
    "doubled fork": (lambda p: p["forks"].append(p["forks"][0]), "/forks: ", "forks"),
    "stranger": (
        lambda p: p["humanGates"][0].update(run_id="run_other"), "/humanGates: ", "humanGates",
    ),
    "lost workflow": (
        lambda p: p["dbos"]["childStatuses"].pop(), "/dbos/workflowScope: ", "dbos",
    ),
    "another run": (lambda p: p["meta"].update(workflowId=NOBODY), "meta: ", "meta"),
    "hidden change": (_hide_fault, "meta.redacted: ", "artifacts"),
    "lost section": (lambda p: p.pop("mockReceipts"), "/mockReceipts: ", "bytes"),
}  # fmt: skip


@pytest.mark.claim("S08.pack-offline")
def test_a_forgery_that_was_sealed_anew_is_noticed_where_it_is(
    saga: Saga, files: Files, tmp_path: Path
) -> None:
    whole = pack(saga.stack.api, saga.long)
    paths = {name: tmp_path / f"{number}.json" for number, name in enumerate(FORGERIES)}
    for name, (change, _, _) in FORGERIES.items():
        found: Pack = json.loads(whole)
        change(found)
        paths[name].write_bytes(seal_pack(found))

    ended = verify_packs(saga.stack, *paths.values())
    ours = {name: faults(files.read(path) or b"") for name, path in paths.items()}

    assert (ended.code, ended.stderr) == (1, "")
    lines = ended.stdout.splitlines()
    named = {
        name: any(line.startswith(f"{path}: differs ") and FORGERIES[name][1] in line
                  for line in lines)
        for name, path in paths.items()
    }  # fmt: skip
    assert named == dict.fromkeys(FORGERIES, True)
    assert "meta.sha256" not in ended.stdout
    assert {name: FORGERIES[name][2] in found for name, found in ours.items()} == dict.fromkeys(
        FORGERIES, True
    )


@pytest.mark.claim("S08.pack-offline")
def test_what_is_no_pack_is_said_to_be_none(saga: Saga, files: Files, tmp_path: Path) -> None:
    texts = {
        "empty": b"",
        "text": b"hello",
        "list": b"[]",
        "object": b"{}",
        "bytes": b"\xff",
        "nan": b'{"meta":NaN}',
        "deep": b"[" * 100_000,
        "number": b'{"meta":{"sha256":1}}',
    }
    for name, text in texts.items():
        (tmp_path / name).write_bytes(text)
    paths = [*(tmp_path / name for name in texts), tmp_path / "nowhere"]
    whole = tmp_path / "whole"
    whole.write_bytes(pack(saga.stack.api, saga.plain))

    ended = verify_packs(saga.stack, *paths)
    with_a_whole_one = verify_packs(saga.stack, paths[0], whole)

    assert (ended.code, ended.stdout) == (3, "")
    told = ended.stderr.splitlines()
    assert [line.partition(": no")[0] for line in told] == [
        *(f"spec11-engine repro: {path} is not a pack" for path in paths[:-1]),
        f"spec11-engine repro: {paths[-1]} is not a pack: No such file or directory",
    ]
    assert (with_a_whole_one.code, len(with_a_whole_one.stderr.splitlines())) == (3, 1)
    assert with_a_whole_one.stdout.startswith(f"{whole}: holds: ")
    assert files.read(tmp_path / "nowhere") is None


@pytest.mark.claim("S08.pack-refusals")
def test_there_is_no_pack_of_what_is_no_run(saga: Saga, files: Files, tmp_path: Path) -> None:
    out = tmp_path / "pack.json"
    for wid in (NOBODY, saga.child):
        answer = saga.stack.api.get(f"/api/runs/{wid}/repro")
        ended = engine(saga.stack, "repro", "--run", wid, "--out", str(out))

        assert (answer.status, answer.json()) == (404, {"error": "run not found"})
        assert (ended.code, ended.stdout) == (1, "")
        assert ended.stderr == "spec11-engine repro: run not found\n"
        assert files.read(out) is None
    assert [*tmp_path.iterdir()] == []


@pytest.mark.claim("S08.pack-refusals")
def test_without_the_database_there_is_no_pack_and_what_was_there_stays(
    saga: Saga, files: Files, tmp_path: Path
) -> None:
    kept, none = tmp_path / "kept.json", tmp_path / "none.json"
    kept.write_bytes(b"an older pack")

    with refusing(saga.stack):
        answer = saga.stack.api.get(f"/api/runs/{saga.plain}/repro")
        ended = [engine(saga.stack, "repro", "--run", saga.plain, "--out", str(out))
                 for out in (kept, none)]  # fmt: skip

    assert (answer.status, answer.json()) == (500, {"error": "internal error"})
    assert [(each.code, each.stdout) for each in ended] == [(5, "")] * 2
    told = [each.stderr.splitlines() for each in ended]
    assert [len(lines) for lines in told] == [1, 1]
    assert told[0][0].startswith("spec11-engine repro: the database does not answer: ")
    assert files.read(kept) == b"an older pack"
    assert files.read(none) is None
    assert [each.name for each in tmp_path.iterdir()] == ["kept.json"]


@pytest.mark.claim("S08.pack-refusals")
@pytest.mark.parametrize("table", ["dbos.operation_outputs", "dbos.streams", "app.mock_receipts"])
def test_half_of_the_database_is_no_pack(
    saga: Saga, files: Files, tmp_path: Path, table: str
) -> None:
    out = tmp_path / "pack.json"
    name = table.partition(".")[2]
    saga.stack.admin.execute(f"ALTER TABLE {table} RENAME TO elsewhere")
    try:
        answer = saga.stack.api.get(f"/api/runs/{saga.plain}/repro")
        ended = engine(saga.stack, "repro", "--run", saga.plain, "--out", str(out))
    finally:
        saga.stack.admin.execute(f"ALTER TABLE {table.replace(name, 'elsewhere')} RENAME TO {name}")

    assert (answer.status, answer.json()) == (500, {"error": "internal error"})
    assert ended.code not in {0, 1}
    assert files.read(out) is None
    assert saga.stack.api.get(f"/api/runs/{saga.plain}/repro").status == 200


@pytest.mark.claim("S08.pack-refusals")
def test_a_place_that_takes_no_file_is_named(saga: Saga, files: Files, tmp_path: Path) -> None:
    places = {tmp_path / "no" / "pack.json": "No such file or directory", tmp_path: "directory"}

    ended = {place: engine(saga.stack, "repro", "--run", saga.plain, "--out", str(place))
             for place in places}  # fmt: skip

    assert saga.stack.api.get(f"/api/runs/{saga.plain}/repro").status == 200
    for place, why in places.items():
        assert (ended[place].code, ended[place].stdout) == (2, "")
        assert ended[place].stderr.startswith(f"spec11-engine repro: --out {place}: ")
        assert why in ended[place].stderr
    assert files.read(tmp_path / "no" / "pack.json") is None
    assert [*tmp_path.iterdir()] == []
