"""S08: a repro pack is all that SQL holds of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_spec11.canon import digest
from pytest_spec11.oracles.files import Files
from pytest_spec11.oracles.sql import Sql
from scenarios.support.contract import identity
from scenarios.support.contract.commands import engine
from scenarios.support.runs.packs import Pack, pack, seal_pack, to_json_rows
from scenarios.support.runs.run_with_history import Saga, run_ids

pytestmark = pytest.mark.S08

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

    app = {name: to_json_rows(app_sql.rows(sql, runs=runs, names=[*runs, *known]))
           for name, sql in APP.items() if name != "forks"}  # fmt: skip
    forks = to_json_rows(app_sql.rows(APP["forks"], runs=run_ids(*{*known} - {wid})))
    children = [each for each in known if each != wid]
    of = {"parentStatuses": [wid], "parentEvents": [wid],
          "childStatuses": children, "childEvents": children}  # fmt: skip
    rows = {name: to_json_rows(sys_sql.rows(sql, ids=of.get(name, [*known])))
            for name, sql in ENGINE.items()}  # fmt: skip

    assert {name: found[name] for name in app} == app
    assert found["forks"] == forks
    assert {name: [found[name]] for name in ONE} == {
        name: to_json_rows(app_sql.rows(sql, w=wid)) for name, sql in ONE.items()
    }
    assert found["recipeFixtures"] == to_json_rows(app_sql.rows(FIXTURES, w=wid))
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
    assert found["runSteps"] == to_json_rows(rows)
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
