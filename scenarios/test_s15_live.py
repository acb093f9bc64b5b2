"""S15: failed, divergent and marked rows of the live database take a GO back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pytest_spec11.fixtures import Provokes
from pytest_spec11.oracles.files import Files
from pytest_spec11.requirements import catalogue
from pytest_spec11.waiting import eventually
from scenarios.support.release.forged_evidence import Line, rewritten, sign_off
from scenarios.support.release.judges import BOARD, Court, ask_board
from scenarios.support.release.planted_runs import (
    APP,
    DAY_S,
    ENGINE,
    SEVEN,
    STANDS_THERE,
    age_runs,
    read_statuses,
    retire_run,
    set_ends,
    start_idle_runs,
)
from scenarios.support.release.tampering import HOUR_MS, blob, flip, later
from scenarios.support.release.throwaway_release import (
    PROVOKED,
    ThrowawayRelease,
)
from scenarios.support.runs.gates import await_gates
from scenarios.support.runs.operations import act_accepted, fork_run
from scenarios.support.runs.run_lifecycle import answer_run, await_status, complete_run, park_run

pytestmark = pytest.mark.S15

OVERDRAWN = """
INSERT INTO app.artifacts (run_id, step_id, idx, kind, uri, inline, sha256)
SELECT id, 'BUDGET', 0, 'json_diagnostic', 'planted', '{
    "kind": "budget", "metric": "maxFanout", "scope": "runtime", "limit": 1, "observed": 2, "unit": "count",
    "outcome": "blocked", "reason": "budget:maxFanout: observed 2 > limit 1 (runtime)"}', repeat('0', 64)
FROM app.runs WHERE workflow_id = ANY(%(wids)s)
"""  # noqa: E501  # one statement
DOUBLED = """
INSERT INTO app.mock_receipts (receipt_key, run_id, step_id, execution_id, payload_hash, seen_count)
SELECT 'planted-' || id, id, 'ExecuteST', execution_id, repeat('0', 64), 2 FROM app.runs
WHERE workflow_id = ANY(%(wids)s)
"""
OLDER = "UPDATE app.{} SET created_at = created_at - interval '24 hours 1 second'"
GONE = "DELETE FROM app.{} WHERE {}"
NAMED = "SELECT count(*) FROM app.runs WHERE workflow_id = %(w)s"
LEFT = "SELECT count(*) FROM app.{} WHERE {}"


def read_cause(live: Court, name: str) -> str:
    """Why a trigger is red, which is the one that is, and alone keeps the board from GO."""
    triggers = live.triggers()
    said = ask_board(live.api)
    assert [each for each, tile in triggers.items() if tile["verdict"] != "GO"] == [name]
    assert {f"trigger-{each}": tile["label"] for each, tile in triggers.items()} == {
        each.id: each.label for each in catalogue.load().triggers
    }
    assert (said.verdict, said.reasons) == ("NO_GO", (("E-TRIGGER", f"trigger-{name}"),))
    return str(triggers[name]["reason"])


@pytest.mark.claim("S15.triggers-flip")
def test_failed_runs_are_counted_until_they_are_of_yesterday(live: Court, unique_goal: str) -> None:
    wids = start_idle_runs(live, unique_goal)
    set_ends(live, wids, "failed", "ERROR")

    assert read_cause(live, "fresh-failures").startswith(f"{SEVEN} failed runs: ")
    assert {read_statuses(live, wid) for wid in wids} == {("failed", "ERROR")}
    age_runs(live, wids, DAY_S)
    assert live.show(live.base).verdict == "GO"


@dataclass(frozen=True)
class Rows:
    """Rows that a trigger counts: what plants them, where, and the trigger's words for them."""

    plant: str
    table: str
    which: str
    what: str
    of_one: str = ""  # what it says of a row besides its run


COUNTED = {
    "budget": Rows(
        *(OVERDRAWN, "artifacts", "step_id = 'BUDGET'", "budget violations"),
        of_one=" (budget:maxFanout: observed 2 > limit 1 (runtime), blocked)",
    ),
    "x1-drift": Rows(DOUBLED, "mock_receipts", "seen_count > 1", "doubled side effects"),
}


@pytest.mark.claim("S15.triggers-flip")
@pytest.mark.parametrize("name", sorted(COUNTED))
def test_rows_that_speak_against_a_release_are_counted_until_they_are_gone_or_old(
    live: Court, unique_goal: str, name: str
) -> None:
    wids, admin, rows = start_idle_runs(live, unique_goal), live.stack.admin, COUNTED[name]
    admin.execute(rows.plant, wids=wids)
    assert read_cause(live, name).startswith(f"{SEVEN} {rows.what}: ")
    admin.execute(OLDER.format(rows.table))
    assert live.show(live.base).verdict == "GO"

    admin.execute(GONE.format(rows.table, rows.which))
    admin.execute(rows.plant, wids=wids[:1])
    assert read_cause(live, name) == f"1 {rows.what}: {wids[0]}{rows.of_one}"
    admin.execute(GONE.format(rows.table, rows.which))
    assert live.show(live.base).verdict == "GO"
    assert live.stack.app_sql.value(LEFT.format(rows.table, rows.which)) == 0


@pytest.mark.claim("S15.triggers-flip")
def test_divergent_runs_are_counted_until_they_agree_or_are_old(
    live: Court, unique_goal: str
) -> None:
    wids = start_idle_runs(live, unique_goal)
    set_ends(live, wids, "succeeded", "ERROR")
    age_runs(live, wids, 11)

    assert read_cause(live, "divergence").startswith(f"{SEVEN} divergent runs: ")
    live.stack.admin.execute(ENGINE, word="SUCCESS", wids=wids[1:])
    assert read_cause(live, "divergence") == f"1 divergent runs: {wids[0]}"
    assert read_statuses(live, wids[0]) == ("succeeded", "ERROR")
    age_runs(live, wids, DAY_S)
    assert live.show(live.base).verdict == "GO"


@pytest.mark.claim("S15.triggers-flip")
def test_evidence_that_is_not_what_it_says_or_not_of_now_turns_its_trigger(
    live: Court, case: ThrowawayRelease, files: Files, tmp_path: Path
) -> None:
    stale = live.base.copy_to(tmp_path / "stale")
    later(-25 * HOUR_MS)(stale)
    blob(lambda path: flip(path, 0))(case)

    live.show(stale)
    freshness = _trigger(live, "freshness")
    live.show(case)
    hollow = _trigger(live, "false-green")

    journals, tiles = 1, 32
    assert freshness["reason"].startswith(f"{journals + tiles} out of time: E-STALE ")
    digest = case.blobs[0].name
    assert files.sha256(case.blobs[0]) != digest
    assert hollow["reason"] == (
        "mandatory_go_tile_missing_evidence: "
        f"{case.run.name}/blobs/{digest[:2]}/{digest}"
    )  # fmt: skip
    assert live.show(live.base).verdict == "GO"


def _trigger(live: Court, name: str) -> Mapping[str, Any]:
    """The trigger as the board shows it, which leaves no other one red."""
    shown = live.api.get(BOARD).json()["rollbackTriggers"]
    (found,) = [each for each in shown if each["verdict"] != "GO"]
    assert found["id"] == f"trigger-{name}"
    return dict(found)


RENAMED = "UPDATE app.runs SET workflow_id = %(name)s WHERE execution_id = %(w)s"


@contextmanager
def provoke_run(live: Court, goal: str, name: str, kind: str) -> Iterator[None]:
    """While the block runs, a run of that name is what a trigger looks for."""
    (wid,) = start_idle_runs(live, goal, 1)
    live.stack.admin.execute(RENAMED, name=name, w=wid)
    rows = {"name": name, "wids": [name]}
    if kind == "budget":
        live.stack.admin.execute(OVERDRAWN, **rows)
    else:
        live.stack.admin.execute(APP, word="failed", **rows)
        word = "ERROR" if kind == "fresh-failures" else "SUCCESS"
        live.stack.admin.execute(ENGINE, word=word, wids=[wid])
        age_runs(live, [wid], 11)
    try:
        yield
    finally:
        age_runs(live, [wid], DAY_S)
        live.stack.admin.execute(RENAMED, name=f"{name} of {wid}", w=wid)
        live.stack.admin.execute(GONE.format("artifacts", "step_id = 'BUDGET'"))


@pytest.mark.claim("S15.provocations-declared")
@pytest.mark.parametrize("kind", ["budget", "fresh-failures", "divergence"])
def test_what_a_test_that_passed_declares_is_not_counted_and_anything_else_is(
    live: Court, unique_goal: str, files: Files, kind: str
) -> None:
    declared = {json.loads(line)["data"].get("workflowId") for line in _lines(files, live.base)}
    with provoke_run(live, unique_goal, f"{PROVOKED}_s03", kind):
        said = live.show(live.base)
        assert live.stack.app_sql.value(NAMED, w=f"{PROVOKED}_s03") == 1
        assert (said.verdict, said.reasons) == ("GO", ())
    with provoke_run(live, f"{unique_goal}, undeclared", "ih_undeclared", kind):
        undeclared = ask_board(live.api)

    assert f"{PROVOKED}_s03" in declared
    assert "ih_undeclared" not in declared
    assert undeclared.verdict == "NO_GO"
    assert f"trigger-{kind}" in undeclared.about("E-TRIGGER")
    assert live.show(live.base).verdict == "GO"


def _lines(files: Files, case: ThrowawayRelease) -> list[bytes]:
    return (files.read(case.journal) or b"").splitlines()


def drop_declaration(found: list[Line]) -> list[Line]:
    name = f"{PROVOKED}_s03"
    return [line for line in found if line["data"].get("workflowId") != name]


def fail_outcome(found: list[Line]) -> list[Line]:
    for line in found:
        if line["kind"] == "outcome" and line["data"]["node"].endswith("s03"):
            line["data"]["outcome"] = "failed"
    return found


@pytest.mark.claim("S15.provocations-declared")
@pytest.mark.parametrize("change", [drop_declaration, fail_outcome])
def test_what_no_test_that_passed_declares_is_counted(
    live: Court, case: ThrowawayRelease, unique_goal: str, files: Files, change: Any
) -> None:
    rewritten(case.journal, change)
    sign_off(case)
    assert live.show(case).verdict == "GO"

    with provoke_run(live, unique_goal, f"{PROVOKED}_s03", "fresh-failures"):
        said = live.show(case)
        shown = _trigger(live, "fresh-failures")

    assert (said.verdict, said.codes) == ("NO_GO", {"E-TRIGGER"})
    assert shown["reason"] == f"1 failed runs: {PROVOKED}_s03"
    assert files.sha256(case.journal) != files.sha256(live.base.journal)


@pytest.mark.claim("S15.provocations-declared")
def test_what_a_foreign_record_declares_is_counted(
    live: Court, case: ThrowawayRelease, unique_goal: str, files: Files
) -> None:
    foreign = (files.read(case.journal) or b"").replace(b"ih_provoked_s03", b"ih_foreign0_s03")
    (case.run / "journal-gw0.ndjson").write_bytes(foreign)

    with provoke_run(live, unique_goal, "ih_foreign0_s03", "fresh-failures"):
        said = live.show(case)

    assert b"ih_foreign0_s03" in foreign
    assert (said.verdict, said.reasons) == ("NO_GO", (("E-TRIGGER", "trigger-fresh-failures"),))
    assert live.show(live.base).verdict == "GO"


APART = [
    ("succeeded", "ERROR"),
    ("succeeded", "CANCELLED"),
    ("succeeded", None),
    ("failed", "SUCCESS"),
    ("waiting_input", "SUCCESS"),
    ("running", "ERROR"),
    ("queued", "CANCELLED"),
]
TOGETHER = [
    ("succeeded", "SUCCESS"),
    ("canceled", "CANCELLED"),
    ("queued", "ENQUEUED"),
    ("queued", "DELAYED"),
    ("running", "PENDING"),
    ("waiting_input", "PENDING"),
]


@pytest.mark.claim("S15.divergence-both-ways")
@pytest.mark.parametrize(("app", "engine"), APART)
def test_two_ends_of_one_run_are_red_after_the_grace_and_not_before(
    live: Court, unique_goal: str, app: str, engine: str | None
) -> None:
    (wid,) = start_idle_runs(live, unique_goal, 1)
    set_ends(live, [wid], app, engine)
    within = live.triggers()["divergence"]["verdict"]
    age_runs(live, [wid], 11)
    shown = live.triggers()["divergence"]
    there = read_statuses(live, wid)
    retire_run(live, wid)

    assert within == "GO"
    assert (shown["verdict"], shown["reason"]) == ("NO_GO", f"1 divergent runs: {wid}")
    assert there == (app, engine)
    assert live.show(live.base).verdict == "GO"


@pytest.mark.claim("S15.divergence-both-ways")
@pytest.mark.parametrize(("app", "engine"), TOGETHER)
def test_one_end_in_two_words_is_green(
    live: Court, unique_goal: str, app: str, engine: str
) -> None:
    (wid,) = start_idle_runs(live, unique_goal, 1)
    set_ends(live, [wid], app, engine)
    age_runs(live, [wid], 11)

    assert read_statuses(live, wid) == (app, engine)
    assert live.show(live.base).verdict == "GO"
    retire_run(live, wid)


LINKS = """
SELECT conname FROM pg_constraint
WHERE contype = 'f' AND (conrelid::regclass::text LIKE 'app.%%') <>
      (confrelid::regclass::text LIKE 'app.%%')
UNION ALL SELECT extname FROM pg_extension WHERE extname IN ('dblink', 'postgres_fdw')
"""
COLUMNS = "SELECT count(*) AS tables FROM pg_class WHERE relnamespace = 'app'::regnamespace"


@pytest.mark.claim("S15.divergence-both-ways")
def test_forked_and_resumed_runs_are_no_divergence_and_no_schema_refers_to_the_other(
    live: Court, unique_goal: str
) -> None:
    worker = live.stack.begin(live.stack.fill_process("worker"))
    done = complete_run(live.api, f"{unique_goal}, forked")["workflowID"]
    fork = fork_run(live.api, done, 1)
    await_status(live.api, fork, {"WAITING_INPUT"}, deadline_s=30)
    answer_run(live.api, fork)
    wid = park_run(live.api, f"{unique_goal}, resumed")["workflowID"]
    act_accepted(live.api, wid, "cancel")
    await_status(live.api, wid, {"CANCELLED"}, deadline_s=30)
    act_accepted(live.api, wid, "resume")
    await_status(live.api, wid, {"WAITING_INPUT"}, deadline_s=30)
    answer_run(live.api, wid)
    worker.stop()
    age_runs(live, [done, fork, wid], 11)

    ends = [read_statuses(live, each) for each in (done, fork, wid)]
    assert ends == [("succeeded", "SUCCESS")] * 3
    assert live.show(live.base).verdict == "GO"
    assert live.stack.admin.execute(LINKS) == []
    assert live.stack.app_sql.value(COLUMNS) > 10


TICKS = "SELECT count(*) FROM dbos.workflow_status WHERE name = 'Tick' AND status = 'SUCCESS'"


@pytest.mark.claim("S15.divergence-both-ways")
def test_a_repair_and_what_a_schedule_begins_are_no_divergence(
    live: Court, provokes: Provokes, unique_goal: str
) -> None:
    ticking = live.stack.fill_process("worker").using({"SPEC11_TICK_S": "1"}, name="ticking")
    worker = live.stack.begin(ticking)
    wid = park_run(live.api, unique_goal)["workflowID"]
    provokes(wid, "refused, and repaired")
    answer_run(live.api, wid, "no")
    again = live.api.post(f"/api/runs/{wid}/retry").json()["executionID"]
    (gate,) = await_gates(live.api, wid)
    gate.choose(live.api)
    await_status(live.api, wid, {"SUCCESS"}, deadline_s=30)
    ticks = eventually(lambda: live.stack.sys_sql.value(TICKS), deadline_s=30, until=bool)
    worker.stop()
    age_runs(live, [again], 11)
    shown = live.triggers()["divergence"]
    first, last = live.stack.sys_sql.value(STANDS_THERE, w=wid), read_statuses(live, again)
    retire_run(live, again)

    assert ticks > 0
    assert (first, last) == ("ERROR", ("succeeded", "SUCCESS"))
    assert (shown["verdict"], "reason" in shown) == ("GO", False)
