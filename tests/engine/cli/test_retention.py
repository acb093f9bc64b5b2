"""`spec11-engine db gc` on a real database: what ended long ago goes as a whole, the rest stays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pytest_spec11.waiting import eventually
from tests.engine.lives import BY, answer, finish_run, park_run, wait_for_status
from tests.engine.patch_lab import Lab
from tests.engine.processes import engine
from tests.engine.retention_lab import (
    BEGUN,
    ENDED_ENGINE,
    end_runs,
    end_workflow,
    gc,
    parse_report,
)
from tests.engine.shim_process import TABLES, Shim, running_shim
from tests.engine.worker_process import running_worker

DEMO = "crash-demo-7"
PROMOTION = f"pro:{'a' * 32}:1"
# How a column is called that holds the id of a run or of a workflow, in any table of either schema.
COLUMNS = """
SELECT table_schema || '.' || table_name AS name, column_name FROM information_schema.columns c
JOIN information_schema.tables t USING (table_schema, table_name)
WHERE table_schema IN ('app', 'dbos') AND table_type = 'BASE TABLE'
  AND (column_name ~ '(^|_)(run|workflow|execution|owner)_(id|uuid)$'
       OR column_name = 'destination_uuid'
       OR table_name IN ('runs', 'lone_endings', 'spec11_open_prompts') AND column_name = 'id')
"""
AGED = "UPDATE app.runs SET updated_at = now() - interval '40 days' WHERE workflow_id = ANY(%s)"
AGED_ENGINE = """
UPDATE dbos.workflow_status
SET completed_at = app.millis(now() - interval '40 days'),
    updated_at = app.millis(now() - interval '40 days')
WHERE completed_at IS NOT NULL AND NOT workflow_uuid = ANY(%s)
  AND NOT coalesce(parent_workflow_id, '') = ANY(%s)
"""
# One row for each table that the lives of these runs do not write to.
PLANTED = """
INSERT INTO app.marks (workflow_id, mark) VALUES (%(demo)s, 's1');
INSERT INTO app.mark_checkpoints (workflow_id, function_id) VALUES (%(demo)s, 1);
INSERT INTO app.datasource_outputs (workflow_id, step_id) VALUES (%(wid)s, 1);
INSERT INTO app.lone_endings (id) VALUES (%(wid)s);
INSERT INTO dbos.streams (workflow_uuid, key, value, "offset") VALUES (%(wid)s, 'k', 'v', 0);
"""


@dataclass(frozen=True, slots=True)
class History:
    """A database in which runs of all kinds ended long ago, and some did not."""

    shim: Shim
    old: tuple[str, ...]
    young: tuple[str, ...]


@pytest.fixture(scope="module")
def history(
    clone: Callable[[], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[History]:
    dsn = clone()
    with running_shim(dsn) as shim:
        lab = Lab.empty(shim, tmp_path_factory.mktemp("lab"))
        with lab.worker():
            old = (
                finish_run(shim, "old"),
                make_canceled_run(lab, "canceled"),
                make_repaired_run(shim, "old, repaired"),
                make_escalated_run(shim, dsn, "old, timed out"),
                source := finish_run(shim, "old, forked"),
                make_forked_run(shim, source),
            )
            loved = finish_run(shim, "old, with a young fork")
            young = (
                finish_run(shim, "young"),
                park_run(shim, "waits"),
                loved,
                make_forked_run(shim, loved),
            )
        for kind, wid in (("CrashDemo", DEMO), ("PromoteRecipe", PROMOTION)):
            shim.rows(BEGUN, kind, wid)
        with psycopg.connect(dsn) as db:
            db.execute(ENDED_ENGINE, ([DEMO, PROMOTION],))
            for statement in PLANTED.strip().split("\n"):
                db.execute(statement.encode(), {"demo": DEMO, "wid": old[0]})
            kept = [young[0], young[1], young[3]]
            db.execute(AGED, ([*old, loved],))
            db.execute(AGED_ENGINE, (kept, kept))
        yield History(shim, old, young)


def make_canceled_run(lab: Lab, topic: str) -> str:
    wid = lab.park_run(topic, (".tmp/canceled.txt", "to be taken back"))
    lab.act(wid, "cancel")
    lab.wait_until_compensated(wid)
    return wid


def make_repaired_run(shim: Shim, goal: str) -> str:
    wid = park_run(shim, goal)
    assert answer(shim, wid, "no") == 200
    wait_for_status(shim, wid, "ERROR")
    assert shim.http.post(f"/api/runs/{wid}/retry").status_code == 202
    wait_for_status(shim, wid, "WAITING_INPUT")
    assert answer(shim, wid) == 200
    wait_for_status(shim, wid, "SUCCESS")
    wait_for_engine(shim, f"rep:{wid}:1")
    return wid


def make_escalated_run(shim: Shim, dsn: str, goal: str) -> str:
    with running_shim(dsn, HITL_PLAN_APPROVAL_TIMEOUT_S="1") as hasty:
        wid: str = hasty.start(goal).json()["workflowID"]
    wait_for_status(shim, wid, "ERROR")
    wait_for_engine(shim, wid)
    found = "SELECT workflow_uuid AS id FROM dbos.workflow_status WHERE name = 'EscalateTimeout'"
    (row,) = eventually(lambda: shim.rows(found), deadline_s=20)
    wait_for_engine(shim, row["id"])
    return wid


def make_forked_run(shim: Shim, wid: str) -> str:
    made = shim.http.post(f"/api/ops/wf/{wid}/fork", json={**BY, "stepN": 1})
    fork: str = made.json()["forkedWorkflowID"]
    wait_for_status(shim, fork, "WAITING_INPUT")
    assert answer(shim, fork) == 200
    wait_for_status(shim, fork, "SUCCESS")
    wait_for_engine(shim, fork)
    return fork


def wait_for_engine(shim: Shim, wid: str) -> None:
    query = "SELECT FROM dbos.workflow_status WHERE workflow_uuid = %s AND completed_at IS NOT NULL"
    eventually(lambda: shim.rows(query, wid) != [], deadline_s=20)


def all_rows(dsn: str) -> Counter[tuple[str, str]]:
    """Every row of both schemas, with the transaction that wrote it."""
    with psycopg.connect(dsn) as db:
        names = [name for (name,) in db.execute(TABLES)]
        return Counter(
            (name, row)
            for name in names
            for (row,) in db.execute(f"SELECT xmin || ' ' || t::text FROM {name} t".encode())  # noqa: S608  # names from the catalogue
        )


def family(shim: Shim, wids: Sequence[str]) -> set[str]:
    """Ids of the runs, and of all workflows that were begun for them."""
    runs = shim.rows("SELECT id, workflow_id FROM app.runs WHERE workflow_id = ANY(%s)", [*wids])
    ids = {*wids, *(row["id"] for row in runs)}
    query = """
        SELECT workflow_uuid AS id FROM dbos.workflow_status
        WHERE parent_workflow_id = ANY(%s) OR workflow_uuid ~ %s"""
    roots = [*wids, *(f"rep:{wid}:1" for wid in wids)]
    pattern = f"^(rep|comp|esc):({'|'.join(wids)}):"
    return ids | {row["id"] for row in shim.rows(query, roots, pattern)}


def names(row: str, ids: set[str]) -> bool:
    return any(each in row for each in ids)


@dataclass(frozen=True, slots=True)
class Collected:
    """A history before and after ``db gc``, and what that reported."""

    history: History
    ids: set[str]
    kept_ids: set[str]
    columns: set[tuple[str, str]]
    rows: tuple[Counter[tuple[str, str]], Counter[tuple[str, str]], Counter[tuple[str, str]]]
    rehearsed: dict[str, Any]
    done: dict[str, Any]


@pytest.fixture(scope="module")
def collected(history: History) -> Collected:
    """The rows at first, after a rehearsal, and after the real thing."""
    shim = history.shim
    ids = family(shim, history.old) | {DEMO, PROMOTION}
    kept_ids = family(shim, history.young)
    columns = {(row["name"], row["column_name"]) for row in shim.rows(COLUMNS)}
    first = all_rows(shim.dsn)
    rehearsed = parse_report(gc(shim.dsn, "--json", "--dry-run", "--batch", "2"))
    second = all_rows(shim.dsn)
    done = parse_report(gc(shim.dsn, "--json", "--batch", "2"))
    rows = (first, second, all_rows(shim.dsn))
    return Collected(history, ids, kept_ids, columns, rows, rehearsed, done)


def test_all_of_an_old_run_goes_from_every_table_and_nothing_else(collected: Collected) -> None:
    ids, done = collected.ids, collected.done
    before, rehearsed, after = collected.rows
    assert {each.split(":")[0] for each in ids if ":" in each} == {"rep", "comp", "esc", "pro"}
    assert rehearsed == before
    mentioning = {name for name, row in before if names(row, ids)}
    assert {name for name, _ in collected.columns} <= mentioning | {"app.eval_results"}

    removed, added = before - after, after - before
    left = [(name, row) for name, row in after if names(row, ids) and (name, row) not in added]
    assert {name for name, _ in left} == {"app.artifacts"}
    assert all("op-intent" in row for _, row in left)
    assert [row for _, row in removed if not names(row, ids)] == []
    assert [row for _, row in removed if names(row, collected.kept_ids)] == []
    assert {name for name, _ in added} == {"app.artifacts"}
    assert added.total() == done["batches"] >= 4
    assert (done["runs"], done["workflows"]) == (len(collected.history.old), 2)
    assert done["kept"] == {"fork": 1}
    same = ("runs", "workflows", "kept", "signoff")
    assert [collected.rehearsed[each] for each in same] == [done[each] for each in same]


def test_a_start_of_the_same_form_is_a_new_run_and_a_second_gc_finds_nothing(
    collected: Collected, tmp_path: Path
) -> None:
    history, shim = collected.history, collected.history.shim
    before = all_rows(shim.dsn)
    assert parse_report(gc(shim.dsn, "--json"))["runs"] == 0
    assert all_rows(shim.dsn) == before
    assert shim.http.get(f"/api/runs/{history.old[0]}").status_code == 404

    answers = [shim.start("old") for _ in range(2)]

    assert [each.status_code for each in answers] == [201, 200]
    assert answers[0].json()["workflowID"] == history.old[0]
    with running_worker(shim.dsn, SPEC11_WORKSPACE=str(tmp_path / "workspace")):
        wait_for_status(shim, history.old[0], "WAITING_INPUT")
        assert answer(shim, history.old[0]) == 200
        wait_for_status(shim, history.old[0], "SUCCESS")
        wait_for_engine(shim, history.old[0])
    pack = tmp_path / "pack.json"
    made = engine("repro", "--run", history.old[0], "--out", str(pack), SPEC11_DSN=shim.dsn)
    assert made.code == 0, made.stderr
    assert engine("repro", "--verify", str(pack)).code == 0


UNFINISHED = {
    "its workflow": "UPDATE dbos.workflow_status SET status = 'PENDING', completed_at = NULL"
    " WHERE workflow_uuid = %s",
    "its run": "UPDATE app.runs SET updated_at = now() WHERE workflow_id = %s",
    "a task": "INSERT INTO dbos.workflow_status (workflow_uuid, status, parent_workflow_id)"
    " VALUES ('task', 'PENDING', %s)",
    "a fork of no run": "INSERT INTO dbos.workflow_status (workflow_uuid, status, forked_from)"
    " VALUES ('fork', 'ENQUEUED', %s)",
    "files to take back": "INSERT INTO app.patch_history (run_id, step_id, patch_index,"
    " execution_id, target_path, postimage_hash, diff_hash, postimage_content, created_at,"
    " applied_at, rolled_back_for) SELECT id, 'ApplyPatchST', 0, workflow_id, '/x',"
    " repeat('0', 64), repeat('0', 64), 'x', now(), now(), 'cancel'"
    " FROM app.runs WHERE workflow_id = %s",
}


@pytest.mark.parametrize("what", UNFINISHED)
def test_what_is_not_over_stays(own_shim: Shim, what: str) -> None:
    (wid,) = end_runs(own_shim, what)
    own_shim.run(UNFINISHED[what], wid)
    before = own_shim.digest()

    done = parse_report(gc(own_shim.dsn, "--json"))

    assert (done["runs"], done["workflows"]) == (0, 0)
    assert own_shim.digest() == before


def test_a_promotion_without_an_end_keeps_its_workflow(own_shim: Shim) -> None:
    end_workflow(own_shim, "PromoteRecipe", PROMOTION)
    own_shim.run(
        "INSERT INTO app.promotions (id, recipe_id, v, number)"
        " VALUES (%s, 'compile-default', 'v1', 1)",
        PROMOTION,
    )

    first = parse_report(gc(own_shim.dsn, "--json"))
    own_shim.run("UPDATE app.promotions SET state = 'abandoned', ended_at = clock_timestamp()")
    second = parse_report(gc(own_shim.dsn, "--json"))

    assert (first["workflows"], first["kept"]) == (0, {"owned": 1})
    assert (second["workflows"], second["kept"]) == (1, {})
    assert len(own_shim.rows("SELECT FROM app.promotions")) == 1
