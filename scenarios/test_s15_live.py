"""S15: what is live in the database and how the engine runs take a GO back."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from pytest_spec11.fixtures import Provokes
from pytest_spec11.oracles.files import Files
from pytest_spec11.requirements import catalogue
from pytest_spec11.stacks import Stacks
from pytest_spec11.waiting import eventually
from scenarios.support.contract.start_requests import start
from scenarios.support.faults.outages import refusing
from scenarios.support.release.forged_evidence import Line, rewritten, sign_off
from scenarios.support.release.judges import BOARD, Court, Said, ask_board, ask_gate, point
from scenarios.support.release.tampering import HOUR_MS, blob, flip, later
from scenarios.support.release.throwaway_release import (
    PROVOKED,
    SPEC11,
    Rehearsal,
    commit_tree,
    write_tree,
)
from scenarios.support.runs.gates import await_gates
from scenarios.support.runs.operations import act_accepted, fork_run
from scenarios.support.runs.run_lifecycle import answer_run, await_status, complete_run, park_run

pytestmark = pytest.mark.S15

SEVEN = 7
DAY_S = 86_401
APP = "UPDATE app.runs SET status = %(word)s WHERE workflow_id = ANY(%(wids)s)"
ENGINE = """
UPDATE dbos.workflow_status SET status = %(word)s, updated_at = app.millis(clock_timestamp())
WHERE workflow_uuid = ANY(%(wids)s)
"""
CANCELED = """
UPDATE app.runs SET status = 'canceled'
WHERE execution_id = %(w)s AND status IN ('queued', 'running', 'waiting_input')
"""
AGO = """
WITH engine AS (UPDATE dbos.workflow_status SET updated_at = updated_at - 1000 * %(s)s
                WHERE workflow_uuid = ANY(%(wids)s))
UPDATE app.runs SET updated_at = updated_at - make_interval(secs => %(s)s)
WHERE execution_id = ANY(%(wids)s)
"""
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
STANDS = "SELECT status FROM app.runs WHERE execution_id = %(w)s"
STANDS_THERE = "SELECT status FROM dbos.workflow_status WHERE workflow_uuid = %(w)s"


@pytest.fixture(scope="module")
def live(court: Court, stacks: Stacks, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Court]:
    """The same release before an engine whose database is for planting."""
    folder = tmp_path_factory.mktemp("live")
    with stacks.start(only=()) as stack:
        made = Court(court.base, stack, folder / "shown")
        point(made.shown, court.base.release)
        stack.begin(made.board())
        yield made


@pytest.fixture
def case(court: Court, tmp_path: Path) -> Rehearsal:
    """A copy of the release that is GO, to be spoilt."""
    return court.base.copy_to(tmp_path)


def begun(live: Court, goal: str, count: int = SEVEN) -> list[str]:
    """Workflow ids of runs that nobody works on; the board is GO with them."""
    bodies = [start(f"{goal} {number}") for number in range(count)]
    wids = [live.api.post("/api/run", json=body).json()["workflowID"] for body in bodies]
    assert live.show(live.base).verdict == "GO"
    return wids


def ended(live: Court, wids: list[str], app: str, engine: str | None) -> None:
    """Either schema says of the runs how they ended; None: the durable engine knows none."""
    live.stack.admin.execute(APP, word=app, wids=wids)
    if engine is None:
        live.stack.admin.execute(
            "DELETE FROM dbos.workflow_status WHERE workflow_uuid = ANY(%(wids)s)", wids=wids
        )
    else:
        live.stack.admin.execute(ENGINE, word=engine, wids=wids)


def back(live: Court, wids: list[str], seconds: int) -> None:
    """All of it happened that much earlier."""
    live.stack.admin.execute(AGO, wids=wids, s=seconds)


def over(live: Court, wid: str) -> None:
    """A run of which no trigger says anything any more."""
    live.stack.admin.execute(CANCELED, w=wid)
    back(live, [wid], DAY_S)


def seen(live: Court, wid: str) -> tuple[Any, Any]:
    """What either schema says of a run."""
    engine = live.stack.sys_sql.rows(STANDS_THERE, w=wid)
    return live.stack.app_sql.value(STANDS, w=wid), engine[0]["status"] if engine else None


def red(live: Court, name: str) -> str:
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
    wids = begun(live, unique_goal)
    ended(live, wids, "failed", "ERROR")

    assert red(live, "fresh-failures").startswith(f"{SEVEN} failed runs: ")
    assert {seen(live, wid) for wid in wids} == {("failed", "ERROR")}
    back(live, wids, DAY_S)
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
    wids, admin, rows = begun(live, unique_goal), live.stack.admin, COUNTED[name]
    admin.execute(rows.plant, wids=wids)
    assert red(live, name).startswith(f"{SEVEN} {rows.what}: ")
    admin.execute(OLDER.format(rows.table))
    assert live.show(live.base).verdict == "GO"

    admin.execute(GONE.format(rows.table, rows.which))
    admin.execute(rows.plant, wids=wids[:1])
    assert red(live, name) == f"1 {rows.what}: {wids[0]}{rows.of_one}"
    admin.execute(GONE.format(rows.table, rows.which))
    assert live.show(live.base).verdict == "GO"
    assert live.stack.app_sql.value(LEFT.format(rows.table, rows.which)) == 0


@pytest.mark.claim("S15.triggers-flip")
def test_divergent_runs_are_counted_until_they_agree_or_are_old(
    live: Court, unique_goal: str
) -> None:
    wids = begun(live, unique_goal)
    ended(live, wids, "succeeded", "ERROR")
    back(live, wids, 11)

    assert red(live, "divergence").startswith(f"{SEVEN} divergent runs: ")
    live.stack.admin.execute(ENGINE, word="SUCCESS", wids=wids[1:])
    assert red(live, "divergence") == f"1 divergent runs: {wids[0]}"
    assert seen(live, wids[0]) == ("succeeded", "ERROR")
    back(live, wids, DAY_S)
    assert live.show(live.base).verdict == "GO"


@pytest.mark.claim("S15.triggers-flip")
def test_evidence_that_is_not_what_it_says_or_not_of_now_turns_its_trigger(
    live: Court, case: Rehearsal, files: Files, tmp_path: Path
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


SIGNED = {"CLAIM_SCOPE": "signoff"}
SMOKE = {"CLAIM_SCOPE": "live-smoke"}
POSTURES = {
    "demo": ({"CLAIM_SCOPE": "demo"}, "claim_scope_demo"),
    "lenient": (SIGNED | {"OC_STRICT_MODE": "0"}, "oc_strict_mode_required"),
    "smoke": (SMOKE, "oc_mode_replay; sbx_mode_mock"),
    "lenient-smoke": (
        SMOKE | {"OC_STRICT_MODE": "0"},
        "oc_strict_mode_required; oc_mode_replay; sbx_mode_mock",
    ),
    "parents": (SIGNED | {"INTENT_QUEUE_PARTITION": "false"}, "queue_partition_off"),
    "children": (SIGNED | {"SBX_QUEUE_PARTITION": "false"}, "queue_partition_off"),
}


@pytest.mark.claim("S15.posture-rules")
@pytest.mark.claim("S15.triggers-flip")
@pytest.mark.parametrize("name", sorted(POSTURES))
def test_a_way_to_run_that_proves_nothing_is_no_go_though_all_is_green(
    live: Court, name: str
) -> None:
    env, words = POSTURES[name]
    point(live.shown, live.base.release)

    posed = live.stack.begin(live.board(name, **env))
    said, board = ask_board(live.stack.api_at(name)), live.stack.api_at(name).get(BOARD).json()
    given = live.stack.proc.environ(name)
    posed.stop()

    scope = set() if env["CLAIM_SCOPE"] == "signoff" else {"E-SCOPE"}
    assert (said.verdict, said.codes) == ("NO_GO", {"E-TRIGGER", *scope})
    assert said.about("E-TRIGGER") == {"trigger-posture"}
    assert board["rollbackTriggers"][0]["reason"] == words
    assert {name: given[name] for name in env} == env
    assert ask_board(live.api).verdict == "GO"


GATED = {
    "ocStrictMode": "oc_strict_mode_required",
    "queuePartition": "queue_partition_off",
}


@pytest.mark.claim("S15.posture-rules")
@pytest.mark.parametrize("key", sorted(GATED))
def test_the_gate_refuses_what_ran_otherwise(live: Court, case: Rehearsal, key: str) -> None:
    def posed(found: list[Line]) -> list[Line]:
        found[0]["data"]["posture"][key] = "false"
        return found

    rewritten(case.journal, posed)
    done = live.stack.proc.run([*SPEC11, *case.gate_words("--json")])

    codes = [each["code"] for each in json.loads(done.stdout)["reasons"]]
    assert (done.code, codes) == (1, [GATED[key]])


@pytest.mark.claim("S15.posture-rules")
def test_the_gate_refuses_a_demo_and_a_smoke_that_is_not_live(
    case: Rehearsal, files: Files
) -> None:
    demo, smoke = ask_gate(files, case, "demo"), ask_gate(files, case, "live-smoke")

    assert (demo.verdict, demo.codes) == ("NO_GO", {"claim_scope_demo", "E-SCOPE"})
    assert (smoke.verdict, smoke.codes) == ("NO_GO", {"oc_mode_replay", "E-SCOPE"})


RENAMED = "UPDATE app.runs SET workflow_id = %(name)s WHERE execution_id = %(w)s"


@contextmanager
def provoked(live: Court, goal: str, name: str, kind: str) -> Iterator[None]:
    """While the block runs, a run of that name is what a trigger looks for."""
    (wid,) = begun(live, goal, 1)
    live.stack.admin.execute(RENAMED, name=name, w=wid)
    rows = {"name": name, "wids": [name]}
    if kind == "budget":
        live.stack.admin.execute(OVERDRAWN, **rows)
    else:
        live.stack.admin.execute(APP, word="failed", **rows)
        word = "ERROR" if kind == "fresh-failures" else "SUCCESS"
        live.stack.admin.execute(ENGINE, word=word, wids=[wid])
        back(live, [wid], 11)
    try:
        yield
    finally:
        back(live, [wid], DAY_S)
        live.stack.admin.execute(RENAMED, name=f"{name} of {wid}", w=wid)
        live.stack.admin.execute(GONE.format("artifacts", "step_id = 'BUDGET'"))


@pytest.mark.claim("S15.provocations-declared")
@pytest.mark.parametrize("kind", ["budget", "fresh-failures", "divergence"])
def test_what_a_test_that_passed_declares_is_not_counted_and_anything_else_is(
    live: Court, unique_goal: str, files: Files, kind: str
) -> None:
    declared = {json.loads(line)["data"].get("workflowId") for line in _lines(files, live.base)}
    with provoked(live, unique_goal, f"{PROVOKED}_s03", kind):
        said = live.show(live.base)
        assert live.stack.app_sql.value(NAMED, w=f"{PROVOKED}_s03") == 1
        assert (said.verdict, said.reasons) == ("GO", ())
    with provoked(live, f"{unique_goal}, undeclared", "ih_undeclared", kind):
        undeclared = ask_board(live.api)

    assert f"{PROVOKED}_s03" in declared
    assert "ih_undeclared" not in declared
    assert undeclared.verdict == "NO_GO"
    assert f"trigger-{kind}" in undeclared.about("E-TRIGGER")
    assert live.show(live.base).verdict == "GO"


def _lines(files: Files, case: Rehearsal) -> list[bytes]:
    return (files.read(case.journal) or b"").splitlines()


def undeclared(found: list[Line]) -> list[Line]:
    name = f"{PROVOKED}_s03"
    return [line for line in found if line["data"].get("workflowId") != name]


def failed(found: list[Line]) -> list[Line]:
    for line in found:
        if line["kind"] == "outcome" and line["data"]["node"].endswith("s03"):
            line["data"]["outcome"] = "failed"
    return found


@pytest.mark.claim("S15.provocations-declared")
@pytest.mark.parametrize("change", [undeclared, failed])
def test_what_no_test_that_passed_declares_is_counted(
    live: Court, case: Rehearsal, unique_goal: str, files: Files, change: Any
) -> None:
    rewritten(case.journal, change)
    sign_off(case)
    assert live.show(case).verdict == "GO"

    with provoked(live, unique_goal, f"{PROVOKED}_s03", "fresh-failures"):
        said = live.show(case)
        shown = _trigger(live, "fresh-failures")

    assert (said.verdict, said.codes) == ("NO_GO", {"E-TRIGGER"})
    assert shown["reason"] == f"1 failed runs: {PROVOKED}_s03"
    assert files.sha256(case.journal) != files.sha256(live.base.journal)


@pytest.mark.claim("S15.provocations-declared")
def test_what_a_foreign_record_declares_is_counted(
    live: Court, case: Rehearsal, unique_goal: str, files: Files
) -> None:
    foreign = (files.read(case.journal) or b"").replace(b"ih_provoked_s03", b"ih_foreign0_s03")
    (case.run / "journal-gw0.ndjson").write_bytes(foreign)

    with provoked(live, unique_goal, "ih_foreign0_s03", "fresh-failures"):
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
    (wid,) = begun(live, unique_goal, 1)
    ended(live, [wid], app, engine)
    within = live.triggers()["divergence"]["verdict"]
    back(live, [wid], 11)
    shown = live.triggers()["divergence"]
    there = seen(live, wid)
    over(live, wid)

    assert within == "GO"
    assert (shown["verdict"], shown["reason"]) == ("NO_GO", f"1 divergent runs: {wid}")
    assert there == (app, engine)
    assert live.show(live.base).verdict == "GO"


@pytest.mark.claim("S15.divergence-both-ways")
@pytest.mark.parametrize(("app", "engine"), TOGETHER)
def test_one_end_in_two_words_is_green(
    live: Court, unique_goal: str, app: str, engine: str
) -> None:
    (wid,) = begun(live, unique_goal, 1)
    ended(live, [wid], app, engine)
    back(live, [wid], 11)

    assert seen(live, wid) == (app, engine)
    assert live.show(live.base).verdict == "GO"
    over(live, wid)


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
    back(live, [done, fork, wid], 11)

    assert [seen(live, each) for each in (done, fork, wid)] == [("succeeded", "SUCCESS")] * 3
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
    back(live, [again], 11)
    shown = live.triggers()["divergence"]
    first, last = live.stack.sys_sql.value(STANDS_THERE, w=wid), seen(live, again)
    over(live, again)

    assert ticks > 0
    assert (first, last) == ("ERROR", ("succeeded", "SUCCESS"))
    assert (shown["verdict"], "reason" in shown) == ("GO", False)


TAKEN = "REVOKE SELECT ON {} FROM spec11"
GIVEN = "GRANT SELECT ON {} TO spec11"
OF_BOARD = """
@pytest.mark.S00
@pytest.mark.claim("S00.holds")
def test_board(api, files):
    assert api.get("/api/ops/signoff").status == 200
    assert files.read(ROOT / "system.py")
"""


@pytest.mark.claim("S15.db-down-never-go")
@pytest.mark.parametrize("table", ["app.runs", "dbos.workflow_status"])
def test_a_board_that_may_not_look_says_nothing(live: Court, table: str) -> None:
    assert live.show(live.base).verdict == "GO"
    live.stack.admin.execute(TAKEN.format(table))
    try:
        answer = live.api.get(BOARD)
    finally:
        live.stack.admin.execute(GIVEN.format(table))

    assert answer.status == 500
    assert b'"GO"' not in answer.body
    assert live.show(live.base).verdict == "GO"


@pytest.mark.claim("S15.db-down-never-go")
def test_without_a_database_the_board_is_500_and_the_gate_no_go_though_a_go_lies_there(
    live: Court, tmp_path: Path, app_version: str
) -> None:
    tree, proc = tmp_path / "tree", live.stack.proc
    write_tree(tree, app_version, OF_BOARD)
    commit_tree(proc, tree)
    case = replace(live.base, tree=tree, release=tmp_path / "release-r2")
    case.release.mkdir()
    case.signoff.write_bytes(live.base.signoff.read_bytes())
    (url,) = re.findall(r"listening on (\S+)", live.stack.process("board").output())
    run = ["pytest", "-q", f"--rootdir={tree}", f"-c{tree / 'pyproject.toml'}", f"{tree}"]
    run += [f"--spec11-base-url={url}", "--spec11-scope=signoff"]
    run += [f"--spec11-app-version={app_version}", f"--spec11-dir={case.release}"]

    with refusing(live.stack):
        answer = live.api.get(BOARD)
        proc.run([*SPEC11[:2], *run], env=live.stack.fill_process("api").env)
    gate = proc.run([*SPEC11, *case.gate_words("--out", str(case.signoff))])

    assert (answer.status, b'"GO"' in answer.body) == (500, False)
    assert gate.code == 1
    document = json.loads(case.signoff.read_bytes())
    said = Said(document["verdict"], tuple((e["code"], e["subject"]) for e in document["reasons"]))
    assert (said.verdict, said.about("E-FAILED")) == ("NO_GO", {"S00.holds"})
    again = eventually(lambda: live.api.get(BOARD).status, deadline_s=30, until=lambda s: s == 200)
    assert (again, live.show(live.base).verdict) == (200, "GO")
