"""S08: a repro pack is all that SQL holds of a run, and says by itself whether it was touched."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from pytest_spec11.canon import digest
from pytest_spec11.oracles.files import Files
from pytest_spec11.oracles.proc import Exit
from pytest_spec11.oracles.sql import Sql
from pytest_spec11.run import Run
from pytest_spec11.stacks import Stack
from scenarios.support.contract import identity
from scenarios.support.contract.commands import engine
from scenarios.support.contract.seeded_random import Dice
from scenarios.support.faults.outages import refusing
from scenarios.support.runs.packs import Pack, faults, pack, seal_pack
from scenarios.support.runs.run_with_history import Saga, run_ids

pytestmark = pytest.mark.S08

NOBODY = "ih_" + "0" * 64
OF_RUNS = "SELECT * FROM app.{} WHERE run_id = ANY(%(runs)s) ORDER BY {}"
# Each section of schema app, and the rows that it must equal, in order.
APP = {
    "statusHistory": OF_RUNS.format("status_history", "id"),
    "runSteps": OF_RUNS.format("run_steps", "run_id, step_id, attempt"),
    "artifacts": "SELECT * FROM app.artifacts WHERE run_id = ANY(%(runs)s) AND step_id <> 'OPS'"
    " ORDER BY run_id, step_id, task_key, idx, attempt",
    "sbxRuns": OF_RUNS.format("sbx_runs", "run_id, step_id, task_key, attempt"),
    "sbxSelections": OF_RUNS.format("sbx_selections", "run_id, task_key, attempt"),
    "opencodeCalls": OF_RUNS.format("opencode_calls", "id"),
    "mockReceipts": OF_RUNS.format("mock_receipts", "created_at, receipt_key"),
    "humanGates": OF_RUNS.format("human_gates", "run_id, created_at, gate_key"),
    "humanInteractions": OF_RUNS.format("human_interactions", "run_id, gate_key, dedupe_key"),
    "patchHistory": OF_RUNS.format("patch_history", "run_id, step_id, attempt, patch_index"),
    "forks": "SELECT * FROM app.runs WHERE id = ANY(%(runs)s) AND forked_from IS NOT NULL",
    "audits": "SELECT * FROM app.artifacts WHERE step_id = 'OPS' AND run_id = ANY(%(names)s)"
    " ORDER BY created_at, task_key",
}
ONE = {
    "run": "SELECT * FROM app.runs WHERE workflow_id = %(w)s",
    "intent": "SELECT i.* FROM app.intents i JOIN app.runs r ON r.intent_id = i.id"
    " WHERE r.workflow_id = %(w)s",
    "recipeVersion": "SELECT v.* FROM app.recipe_versions v JOIN app.runs r"
    " ON (r.recipe_id, r.recipe_v) = (v.id, v.v) WHERE r.workflow_id = %(w)s",
}
FIXTURES = """
SELECT f.* FROM app.recipe_fixtures f JOIN app.runs r ON (r.recipe_id, r.recipe_v) = (f.recipe_id, f.v)
WHERE r.workflow_id = %(w)s ORDER BY fixture_id
"""  # noqa: E501  # one statement
OF_WORKFLOWS = "SELECT * FROM dbos.{} WHERE workflow_uuid = ANY(%(ids)s) ORDER BY {}"
ENGINE = {
    "parentStatuses": OF_WORKFLOWS.format("workflow_status", "created_at, workflow_uuid"),
    "childStatuses": OF_WORKFLOWS.format("workflow_status", "created_at, workflow_uuid"),
    "parentEvents": OF_WORKFLOWS.format("workflow_events", "workflow_uuid, key"),
    "childEvents": OF_WORKFLOWS.format("workflow_events", "workflow_uuid, key"),
    "eventHistory": OF_WORKFLOWS.format(
        "workflow_events_history", "workflow_uuid, function_id, key"
    ),
    "operations": OF_WORKFLOWS.format("operation_outputs", "workflow_uuid, function_id"),
    "inputs": OF_WORKFLOWS.format("workflow_input", "workflow_uuid"),
    "outputs": OF_WORKFLOWS.format("workflow_output", "workflow_uuid"),
    "streams": OF_WORKFLOWS.format("streams", 'workflow_uuid, key, "offset"'),
    "notifications": "SELECT * FROM dbos.notifications WHERE destination_uuid = ANY(%(ids)s)"
    " ORDER BY created_at_epoch_ms, message_uuid",
}
KINDS = {
    "repairs": "RepairIntent",
    "compensations": "Compensate",
    "escalations": "EscalateTimeout",
}
FAMILY = "SELECT workflow_uuid, name, parent_workflow_id, forked_from FROM dbos.workflow_status"
# Tables that name a run or a workflow by a column of that name.
TABLES = """
SELECT DISTINCT table_name FROM information_schema.columns
WHERE table_schema = %(schema)s AND column_name = ANY(%(columns)s)
  AND table_name NOT IN (SELECT table_name FROM information_schema.views)
"""
NOT_OF_A_RUN = {"marks", "mark_checkpoints", "runs"}  # of demos; the run itself
UNUSED = "datasource_outputs"  # the durable engine's own, which nothing here writes
USED = "SELECT count(*) FROM app.datasource_outputs"
FLIPS = 500
AT_ONCE = 125  # files for one command


def plain(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows as JSON has them."""
    return [{name: _plain(value) for name, value in row.items()} for row in rows]


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            text = value.astimezone(UTC).isoformat()
            whole, point, rest = text.removesuffix("+00:00").partition(".")
            rest = rest.rstrip("0")
            return f"{whole}{point if rest else ''}{rest}+00:00"
        case bytes():
            return f"\\x{value.hex()}"
        case UUID():
            return str(value)
        case _:
            return value


def scope(sys_sql: Sql, wid: str) -> dict[str, str]:
    """All that was begun for the run or forked from it, by name: found among all that there is."""
    rows = sys_sql.rows(FAMILY)
    found = {wid}
    while more := {row["workflow_uuid"] for row in rows if _is_of(row, found)} - found:
        found |= more
    return {row["workflow_uuid"]: row["name"] for row in rows if row["workflow_uuid"] in found}


def _is_of(row: dict[str, Any], found: set[str]) -> bool:
    kind, _, rest = row["workflow_uuid"].partition(":")
    named = kind in {"rep", "comp", "esc"} and rest.rpartition(":")[0] in found
    return named or row["parent_workflow_id"] in found or row["forked_from"] in found


@pytest.mark.claim("S08.pack-complete")
@pytest.mark.parametrize("which", ["long", "silent", "plain", "fork"])
def test_a_pack_is_what_sql_holds_row_for_row(saga: Saga, which: str) -> None:
    wid: str = getattr(saga, which)
    app_sql, sys_sql = saga.stack.app_sql, saga.stack.sys_sql
    found: Pack = json.loads(pack(saga.stack.api, wid))
    known = scope(sys_sql, wid)
    runs = run_ids(wid, *(each for each in known if each.startswith("fork_")))

    app = {name: plain(app_sql.rows(sql, runs=runs, names=[*runs, *known]))
           for name, sql in APP.items() if name != "forks"}  # fmt: skip
    forks = plain(app_sql.rows(APP["forks"], runs=run_ids(*{*known} - {wid})))
    children = [each for each in known if each != wid]
    of = {"parentStatuses": [wid], "parentEvents": [wid],
          "childStatuses": children, "childEvents": children}  # fmt: skip
    rows = {name: plain(sys_sql.rows(sql, ids=of.get(name, [*known])))
            for name, sql in ENGINE.items()}  # fmt: skip

    assert {name: found[name] for name in app} == app
    assert found["forks"] == forks
    assert {name: [found[name]] for name in ONE} == {
        name: plain(app_sql.rows(sql, w=wid)) for name, sql in ONE.items()
    }
    assert found["recipeFixtures"] == plain(app_sql.rows(FIXTURES, w=wid))
    assert found["evals"] == found["recipeVersion"]["json"]["eval"] != []
    assert found["dbos"].pop("workflowScope") == sorted(known)
    assert {kind: found["dbos"].pop(kind) for kind in KINDS} == {
        kind: sorted(each for each in children if known[each] == name)
        for kind, name in KINDS.items()
    }
    assert found["dbos"] == rows
    assert found.keys() == {*app, *ONE, "forks", "recipeFixtures", "evals", "dbos", "meta"}


@pytest.mark.claim("S08.pack-complete")
def test_the_long_story_is_whole(saga: Saga) -> None:
    found: Pack = json.loads(pack(saga.stack.api, saga.long))
    gate = identity.gate_key(identity.run_id(saga.silent))
    silent: Pack = json.loads(pack(saga.stack.api, saga.silent))

    assert [row["workflow_id"] for row in found["forks"]] == [saga.fork]
    assert found["dbos"]["repairs"] == [f"rep:{saga.long}:1"]
    assert len(found["dbos"]["compensations"]) == 1
    assert silent["dbos"]["escalations"] == [f"esc:{saga.silent}:{gate}"]
    assert {saga.long, saga.fork, saga.child, saga.child_fork} < {*found["dbos"]["workflowScope"]}
    operations = [(row["inline"]["op"], row["inline"]["targetWorkflowID"])
                  for row in found["audits"]]  # fmt: skip
    assert operations == [
        ("cancel", saga.long), ("resume", saga.long), ("fork", saga.long), ("fork", saga.child),
    ]  # fmt: skip
    empty = {name for name, rows in found.items() if rows == []}
    assert empty == set()
    is_true = "SELECT forked_from FROM app.runs WHERE workflow_id = %(w)s"
    assert saga.stack.app_sql.value(is_true, w=saga.fork) == found["run"]["id"]
    parent = "SELECT forked_from FROM dbos.workflow_status WHERE workflow_uuid = %(w)s"
    assert saga.stack.sys_sql.value(parent, w=saga.child_fork) == saga.child


@pytest.mark.claim("S08.pack-complete")
def test_no_table_that_names_a_run_is_left_out(saga: Saga) -> None:
    ours = saga.stack.app_sql.rows(TABLES, schema="app", columns=["run_id", "workflow_id"])
    theirs = saga.stack.sys_sql.rows(
        TABLES, schema="dbos", columns=["workflow_uuid", "destination_uuid"]
    )

    tables = {row["table_name"] for row in ours} - {*NOT_OF_A_RUN, UNUSED}
    workflows = {row["table_name"] for row in theirs}

    assert saga.stack.app_sql.value(USED) == 0
    assert len(tables) >= 9
    assert {name for name in tables if not any(f"app.{name}" in sql for sql in APP.values())} == (
        set()
    )
    assert len(workflows) >= 7
    assert {
        name for name in workflows if not any(f"dbos.{name} " in sql for sql in ENGINE.values())
    } == set()


@pytest.mark.claim("S08.pack-complete")
def test_attempts_are_in_the_order_of_their_numbers(saga: Saga) -> None:
    run = identity.run_id(saga.silent)
    more = "INSERT INTO app.run_steps SELECT run_id, step_id, n, phase, output, trace_id, span_id,"
    saga.stack.admin.execute(
        f"{more} started_at, finished_at FROM app.run_steps, generate_series(2, 11) AS n"
        " WHERE run_id = %(r)s AND step_id = 'CompileST'",
        r=run,
    )
    try:
        found: Pack = json.loads(pack(saga.stack.api, saga.silent))
        rows = saga.stack.app_sql.rows(APP["runSteps"], runs=[run])
    finally:
        saga.stack.admin.execute(
            "DELETE FROM app.run_steps WHERE run_id = %(r)s AND attempt > 1", r=run
        )
    numbers = [row["attempt"] for row in found["runSteps"] if row["step_id"] == "CompileST"]
    assert numbers == [*range(1, 12)]
    assert found["runSteps"] == plain(rows)
    assert {row["status"] for row in found["dbos"]["parentStatuses"]} == {"ERROR"}
    word = "SELECT status FROM dbos.workflow_status WHERE workflow_uuid = %(w)s"
    assert saga.stack.sys_sql.value(word, w=saga.silent) == "ERROR"


@pytest.mark.claim("S08.pack-digest")
@pytest.mark.parametrize("which", ["long", "silent", "plain", "fork"])
def test_the_digest_is_of_the_body_and_the_command_writes_the_same_bytes(
    saga: Saga, files: Files, tmp_path: Path, which: str
) -> None:
    wid: str = getattr(saga, which)
    out = tmp_path / "pack.json"

    served, again = pack(saga.stack.api, wid), pack(saga.stack.api, wid)
    made = engine(saga.stack, "repro", "--run", wid, "--out", str(out))
    by_run_id = engine(saga.stack, "repro", "--run", identity.run_id(wid))

    assert served == again
    assert (made.code, made.stdout, made.stderr) == (0, f"{out}\n", "")
    assert files.read(out) == served
    assert (by_run_id.code, by_run_id.stdout.encode()) == (0, served)
    found: Pack = json.loads(served)
    body = {**found, "meta": {k: v for k, v in found["meta"].items() if k != "sha256"}}
    assert found["meta"]["sha256"] == digest(body)
    assert seal_pack(found) == served
    assert [each.name for each in tmp_path.iterdir()] == ["pack.json"]


def verified(stack: Stack, *paths: Path) -> Exit:
    """How ``repro --verify`` ended, where no database is."""
    nowhere = {"SPEC11_DSN": "host=127.0.0.1 port=9 dbname=nowhere", "SPEC11_DATA_DIR": "/nowhere"}
    words = ["repro", "--verify", *map(str, paths)]
    return engine(stack, *words, env=nowhere, deadline_s=120)


@pytest.mark.claim("S08.pack-offline")
@pytest.mark.parametrize("which", ["long", "silent", "plain"])
def test_a_pack_holds_by_itself(saga: Saga, files: Files, tmp_path: Path, which: str) -> None:
    out = tmp_path / "pack.json"
    out.write_bytes(pack(saga.stack.api, getattr(saga, which)))

    ended = verified(saga.stack, out)

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
    said = [verified(saga.stack, *batch) for batch in batches]

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
    assert verified(saga.stack, tmp_path / "whole.json").code == 0
    assert faults(whole) == []


def _byte(row: dict[str, Any], column: str) -> None:
    row[column] = f"~{row[column][1:]}"


def _step_time(found: Pack) -> None:
    row = next(row for row in found["runSteps"] if row["run_id"] == found["run"]["id"])
    row["finished_at"] = f"3{row['finished_at'][1:]}"


def _hidden(found: Pack) -> None:
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
    "hidden change": (_hidden, "meta.redacted: ", "artifacts"),
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

    ended = verified(saga.stack, *paths.values())
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

    ended = verified(saga.stack, *paths)
    with_a_whole_one = verified(saga.stack, paths[0], whole)

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


@pytest.mark.claim("S08.course-pack-keys")
def test_the_keys_that_the_course_selects_are_there(
    saga: Saga, files: Files, tmp_path: Path
) -> None:
    """jq '{meta:.meta,run:.run.workflow_id,dbosStatus:…,dbosEvents:…}' of the course."""
    out = tmp_path / "pack.json"
    assert engine(saga.stack, "repro", "--run", saga.plain, "--out", str(out)).code == 0
    raws = {wid: pack(saga.stack.api, wid) for wid in (saga.plain, saga.long, saga.silent)}

    for wid, raw in (*raws.items(), (saga.plain, files.read(out) or b"")):
        found: Pack = json.loads(raw)
        assert found["run"]["workflow_id"] == wid
        assert found["meta"]
        assert len(found["dbos"]["parentStatuses"]) == 1
        assert found["dbos"]["parentStatuses"][0]["workflow_uuid"] == wid
        assert len(found["dbos"]["parentEvents"]) >= 4
