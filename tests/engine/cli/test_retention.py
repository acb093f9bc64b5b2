"""`spec11-engine db gc` on a real database: what ended long ago goes as a whole, the rest stays."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pytest_spec11.waiting import GIVE_UP_S, eventually
from tests.engine.lives import BY, answer, finished, header, parked, reached
from tests.engine.patch_lab import Lab
from tests.engine.processes import Ended, begun, engine
from tests.engine.shim_process import TABLES, Shim, running_shim
from tests.engine.signoffs import whole, write
from tests.engine.worker_process import running_worker

GC = ("db", "gc", "--older-than", "30d")
DEMO = "crash-demo-7"
PROMOTION = f"pro:{'a' * 32}:1"
AUDIT = "SELECT inline FROM app.artifacts WHERE step_id = 'OPS' AND inline ->> 'op' = 'gc'"
# How a column is called that holds the id of a run or of a workflow, in any table of either schema.
COLUMNS = """
SELECT table_schema || '.' || table_name AS name, column_name FROM information_schema.columns c
JOIN information_schema.tables t USING (table_schema, table_name)
WHERE table_schema IN ('app', 'dbos') AND table_type = 'BASE TABLE'
  AND (column_name ~ '(^|_)(run|workflow|execution|owner)_(id|uuid)$'
       OR column_name = 'destination_uuid'
       OR table_name IN ('runs', 'lone_endings', 'spec11_open_prompts') AND column_name = 'id')
"""
ENDED = """
UPDATE app.runs SET status = 'succeeded', updated_at = now() - interval '40 days'
WHERE workflow_id = ANY(%s)
"""
ENDED_ENGINE = """
UPDATE dbos.workflow_status
SET status = 'SUCCESS', completed_at = app.millis(now() - interval '40 days'),
    updated_at = app.millis(now() - interval '40 days')
WHERE workflow_uuid = ANY(%s)
"""
AGED = "UPDATE app.runs SET updated_at = now() - interval '40 days' WHERE workflow_id = ANY(%s)"
AGED_ENGINE = """
UPDATE dbos.workflow_status
SET completed_at = app.millis(now() - interval '40 days'),
    updated_at = app.millis(now() - interval '40 days')
WHERE completed_at IS NOT NULL AND NOT workflow_uuid = ANY(%s)
  AND NOT coalesce(parent_workflow_id, '') = ANY(%s)
"""
BEGUN = """
SELECT dbos.enqueue_workflow(workflow_name => %s, queue_name => 'controlQ', workflow_id => %s,
                             named_args => '{}', application_name => 'spec11')
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
                finished(shim, "old"),
                canceled(lab, "canceled"),
                repaired(shim, "old, repaired"),
                escalated(shim, dsn, "old, timed out"),
                source := finished(shim, "old, forked"),
                forked(shim, source),
            )
            loved = finished(shim, "old, with a young fork")
            young = (finished(shim, "young"), parked(shim, "waits"), loved, forked(shim, loved))
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


def canceled(lab: Lab, topic: str) -> str:
    wid = lab.parked(topic, (".tmp/canceled.txt", "to be taken back"))
    lab.act(wid, "cancel")
    lab.compensated(wid)
    return wid


def repaired(shim: Shim, goal: str) -> str:
    wid = parked(shim, goal)
    assert answer(shim, wid, "no") == 200
    reached(shim, wid, "ERROR")
    assert shim.http.post(f"/api/runs/{wid}/retry").status_code == 202
    reached(shim, wid, "WAITING_INPUT")
    assert answer(shim, wid) == 200
    reached(shim, wid, "SUCCESS")
    wait_for_engine(shim, f"rep:{wid}:1")
    return wid


def escalated(shim: Shim, dsn: str, goal: str) -> str:
    with running_shim(dsn, HITL_PLAN_APPROVAL_TIMEOUT_S="1") as hasty:
        wid: str = hasty.start(goal).json()["workflowID"]
    reached(shim, wid, "ERROR")
    wait_for_engine(shim, wid)
    found = "SELECT workflow_uuid AS id FROM dbos.workflow_status WHERE name = 'EscalateTimeout'"
    (row,) = eventually(lambda: shim.rows(found), deadline_s=20)
    wait_for_engine(shim, row["id"])
    return wid


def forked(shim: Shim, wid: str) -> str:
    made = shim.http.post(f"/api/ops/wf/{wid}/fork", json={**BY, "stepN": 1})
    fork: str = made.json()["forkedWorkflowID"]
    reached(shim, fork, "WAITING_INPUT")
    assert answer(shim, fork) == 200
    reached(shim, fork, "SUCCESS")
    wait_for_engine(shim, fork)
    return fork


def wait_for_engine(shim: Shim, wid: str) -> None:
    query = "SELECT FROM dbos.workflow_status WHERE workflow_uuid = %s AND completed_at IS NOT NULL"
    eventually(lambda: shim.rows(query, wid) != [], deadline_s=20)


def gc(dsn: str, *words: str, **env: str) -> Ended:
    return engine(*GC, *words, SPEC11_DSN=dsn, **env)


def parse_report(ended: Ended) -> dict[str, Any]:
    assert ended.code == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


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
        reached(shim, history.old[0], "WAITING_INPUT")
        assert answer(shim, history.old[0]) == 200
        reached(shim, history.old[0], "SUCCESS")
        wait_for_engine(shim, history.old[0])
    pack = tmp_path / "pack.json"
    made = engine("repro", "--run", history.old[0], "--out", str(pack), SPEC11_DSN=shim.dsn)
    assert made.code == 0, made.stderr
    assert engine("repro", "--verify", str(pack)).code == 0


def end_runs(shim: Shim, *goals: str) -> list[str]:
    """Workflow ids of new runs that no worker took and that ended 40 days ago."""
    wids = [shim.start(goal).json()["workflowID"] for goal in goals]
    shim.run(ENDED, wids)
    shim.run(ENDED_ENGINE, wids)
    return wids


def end_workflow(shim: Shim, kind: str, wid: str) -> None:
    shim.rows(BEGUN, kind, wid)
    shim.run(ENDED_ENGINE, [wid])


def is_there(shim: Shim, wid: str) -> bool:
    return shim.rows("SELECT FROM dbos.workflow_status WHERE workflow_uuid = %s", wid) != []


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


def seal_signoff(root: Path, *lines: dict[str, Any], blob: bytes | None = None) -> None:
    """A sign-off below ``root`` whose journal has these records, one with ``blob`` beside it."""
    document = whole(root)
    journal = root / "run/journal-main.ndjson"
    records = [*lines]
    if blob is not None:
        name = sha256(blob).hexdigest()
        place = root / "run/blobs" / name[:2] / name
        place.parent.mkdir(parents=True)
        place.write_bytes(blob)
        records.append({"kind": "observation", "data": {"blob": name}})
    with journal.open("ab") as file:
        for each in records:
            file.write(json.dumps(each, separators=(",", ":")).encode() + b"\n")
    digest, size = sha256(journal.read_bytes()).hexdigest(), journal.stat().st_size
    tiles = (*document["pfTiles"], *document["proofTiles"])
    for ref in (each for tile in tiles for each in tile["evidence"]):
        ref.update(sha256=digest, bytes=size)
    document["evidence"]["journals"][0]["sha256"] = digest
    write(root, document)


def test_what_evidence_names_stays(own_shim: Shim, tmp_path: Path) -> None:
    declared, seen, read, other = end_runs(own_shim, "declared", "seen", "read", "other")
    for wid in ("named.demo", "other-demo", "odd name"):
        end_workflow(own_shim, "CrashDemo", wid)
    run_id = header(own_shim, seen)["runId"]
    seal_signoff(
        tmp_path,
        {"kind": "provocation", "data": {"node": "n", "workflowId": declared}},
        {"kind": "observation", "data": {"facts": {"sql": f"where run_id = '{run_id}'"}}},
        {"kind": "observation", "data": {"facts": {"wf": "x\nnamed.demo"}}},
        blob=json.dumps({"body": json.dumps({"workflowID": read})}).encode(),
    )

    done = parse_report(gc(own_shim.dsn, "--json", SPEC11_SIGNOFF_DIR=str(tmp_path)))

    found = {wid: is_there(own_shim, wid) for wid in (declared, seen, read, other)}
    assert found == {declared: True, seen: True, read: True, other: False}
    assert [is_there(own_shim, wid) for wid in ("named.demo", "other-demo", "odd name")] == [
        True, False, True,  # what has a space in it cannot be looked for
    ]  # fmt: skip
    assert (done["runs"], done["workflows"], done["kept"]) == (1, 1, {"evidence": 5})


def spoil_signoff(root: Path) -> None:
    file = root / "signoff.json"
    file.write_bytes(file.read_bytes().replace(b'"rehearsal":true', b'"rehearsal":false'))


def spoil_journal(root: Path) -> None:
    with (root / "run/journal-main.ndjson").open("ab") as file:
        file.write(b"\n")


def lose_blob(root: Path) -> None:
    next((root / "run/blobs").glob("*/*")).unlink()


def lose_signoff(root: Path) -> None:
    (root / "signoff.json").unlink()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (spoil_signoff, "signoff.json was changed after it was sealed"),
        (spoil_journal, "run/journal-main.ndjson is "),
        (lose_blob, " leads to nothing"),
        (lose_signoff, "signoff.json missing signoff results"),
    ],
)
def test_evidence_that_cannot_be_read_stops_all(
    own_shim: Shim, tmp_path: Path, spoil: Callable[[Path], None], said: str
) -> None:
    end_runs(own_shim, "old")
    seal_signoff(tmp_path, blob=b"seen")
    spoil(tmp_path)
    before = own_shim.digest()

    refused = gc(own_shim.dsn, SPEC11_SIGNOFF_DIR=str(tmp_path))

    assert (refused.code, refused.stdout) == (1, "")
    assert refused.stderr.startswith("spec11-engine db: nothing is removed: the release's evidence")
    assert said in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert own_shim.digest() == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), ["--older-than is missing"]),
        (("--older-than", "30"), ["--older-than '30' is no age"]),
        (("--older-than=-1d",), ["--older-than '-1d' is no age"]),
        (("--older-than", "1h"), ["--older-than '1h' is not within 24h..36500d"]),
        (("--older-than", "0d", "--batch", "0"), ["'0d' is not", "--batch '0' is not"]),
        (("--older-than", "40000d"), ["is not within"]),
        (("--older-than", "30d", "--batch", "10e3"), ["--batch '10e3' is not"]),
    ],
)
def test_wrong_usage_is_one_line_and_leaves_no_trace(
    own_shim: Shim, words: tuple[str, ...], said: list[str]
) -> None:
    end_runs(own_shim, "old")
    before = own_shim.digest()

    refused = engine("db", "gc", *words, SPEC11_DSN=own_shim.dsn)

    assert (refused.code, refused.stdout) == (2, "")
    assert all(each in refused.stderr for each in said), refused.stderr
    assert refused.stderr.count("\n") == 1
    assert own_shim.digest() == before


def test_a_database_that_is_away_is_said() -> None:
    refused = engine(*GC, SPEC11_DSN="postgresql://nobody@127.0.0.1:9/none")

    assert (refused.code, "the database does not answer" in refused.stderr) == (5, True)


def waits_for_lock(dsn: str) -> bool:
    query = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%history%'"
    with psycopg.connect(dsn) as db:
        return db.execute(query).fetchone() is not None


def test_a_kill_in_a_batch_leaves_whole_batches(own_shim: Shim) -> None:
    wids = end_runs(own_shim, *(f"killed {n}" for n in range(6)))
    last = own_shim.rows("SELECT id FROM app.runs WHERE workflow_id = %s", wids[-1])[0]["id"]
    with psycopg.connect(own_shim.dsn) as db:
        db.execute("INSERT INTO app.status_history (run_id, status) VALUES (%s, 'x')", (last,))
        db.commit()
        db.execute("SELECT FROM app.status_history WHERE run_id = %s FOR UPDATE", (last,))
        with begun(*GC, "--batch", "2", SPEC11_DSN=own_shim.dsn) as process:
            eventually(lambda: waits_for_lock(own_shim.dsn), deadline_s=GIVE_UP_S)
            process.send_signal(signal.SIGKILL)
            process.wait(GIVE_UP_S)
    backends = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    eventually(lambda: own_shim.rows(backends) == [], deadline_s=20)

    audited = [each for row in own_shim.rows(AUDIT) for each in row["inline"]["runs"]]
    left = {row["id"] for row in own_shim.rows("SELECT id FROM app.runs")}
    everyone = {*audited} | left
    assert len(audited) == 4
    assert (len(left), last in left, len(everyone)) == (2, True, 6)
    assert [is_there(own_shim, wid) for wid in wids].count(True) == 2
    assert parse_report(gc(own_shim.dsn, "--json"))["runs"] == 2


def test_what_an_operation_holds_is_left_for_the_next_time(own_shim: Shim) -> None:
    held, child, free = end_runs(own_shim, "held", "child", "free")
    with psycopg.connect(own_shim.dsn) as db:
        db.execute("SELECT FROM app.runs WHERE workflow_id = %s FOR UPDATE", (held,))
        query = "SELECT FROM dbos.workflow_status WHERE workflow_uuid = %s FOR UPDATE"
        db.execute(query, (child,))

        done = parse_report(gc(own_shim.dsn, "--json"))

    assert (done["runs"], done["kept"]) == (1, {"busy": 2})
    assert [is_there(own_shim, wid) for wid in (held, child, free)] == [True, True, False]


def test_beside_a_running_engine_a_run_is_there_until_it_is_gone(own_shim: Shim) -> None:
    """While a batch is under way a start is the replay it was, and a resume takes its turn."""
    (wid,) = end_runs(own_shim, "beside")
    run_id = header(own_shim, wid)["runId"]
    with psycopg.connect(own_shim.dsn) as db:
        db.execute("INSERT INTO app.status_history (run_id, status) VALUES (%s, 'x')", (run_id,))
        db.commit()
        db.execute("SELECT FROM app.status_history WHERE run_id = %s FOR UPDATE", (run_id,))
        with begun(*GC, SPEC11_DSN=own_shim.dsn) as process:
            eventually(lambda: waits_for_lock(own_shim.dsn), deadline_s=GIVE_UP_S)
            during = own_shim.start("beside")
            with begun(
                "ops", "resume", wid, "--actor", "a", "--reason", "r",
                "--url", str(own_shim.http.base_url),
            ) as resume:  # fmt: skip
                eventually(lambda: count_waiting(own_shim) == 2, deadline_s=GIVE_UP_S)
                db.commit()
                said = resume.communicate(timeout=GIVE_UP_S)[0]
            assert process.wait(GIVE_UP_S) == 0
    after = own_shim.start("beside")

    assert (during.status_code, during.json()["isReplay"]) == (200, True)
    assert said == f"{wid}\trefused\t404 workflow not found: {wid}\n"
    assert (after.status_code, after.json()["isReplay"]) == (201, False)


def count_waiting(shim: Shim) -> int:
    return len(shim.rows("SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))
