"""`spec11-engine db gc`: what evidence names stays, and no fault removes half of a run."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pytest_spec11.waiting import GIVE_UP_S, eventually
from tests.engine.lives import header
from tests.engine.processes import begin_command, engine
from tests.engine.retention_lab import (
    GC,
    end_runs,
    end_workflow,
    gc,
    is_there,
    parse_report,
)
from tests.engine.shim_process import Shim
from tests.engine.signoffs import whole, write

AUDIT = "SELECT inline FROM app.artifacts WHERE step_id = 'OPS' AND inline ->> 'op' = 'gc'"


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
        with begin_command(*GC, "--batch", "2", SPEC11_DSN=own_shim.dsn) as process:
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
        with begin_command(*GC, SPEC11_DSN=own_shim.dsn) as process:
            eventually(lambda: waits_for_lock(own_shim.dsn), deadline_s=GIVE_UP_S)
            during = own_shim.start("beside")
            with begin_command(
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
