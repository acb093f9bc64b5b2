"""S00: what the operator course has an operator type at a shell works, word for word.

Every line with `curl`, `jq` or SQL of lessons L00 to L21 and the shell kit is in
`course/lines.toml`; that is all that the claim names. What else the course says to do is not
typed here: to start, stop and reset (the stacks of the suite do), to open pages in a browser
(L02), to run its test and load lanes (L17, L19, L20), and the live smokes (L21, which S14 runs).

A machine without `curl` or `jq` gets programs of ours in their place; the script, which is on
record, says so. The last track is typed with those on every machine, so that they are known good.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from pytest_spec11.oracles.sql import Row
from pytest_spec11.stacks import Stack, Stacks
from scenarios.course.walk import TOOLS, Typed, course, find_missing_tools, walk_lessons

pytestmark = pytest.mark.S00
VERSION = "spec11-tut-v1"
# What L00 exports; the processes of its L01 are started with it.
ENV = {
    "DBOS__APPVERSION": VERSION,
    "OC_MODE": "replay",
    "SBX_MODE": "mock",
    "SBX_PROVIDER": "e2b",
    "WORKFLOW_RUNTIME_MODE": "api-shim",
    "SBX_QUEUE_PARTITION": "true",
}
# The course's tracks; L03 and L10 are put where a later lesson uses their words.
BASE = ("L00", "L01", "L03", "L10")
OWNER = (*BASE, "L14", "L20")
QA = (*BASE, "L11", "L12", "L13", "L15", "L16")
ENGINEER = (*BASE, "L17", "L18")
HEADER = {"workflowID", "status", "nextAction", "lastStep", "retryCount", "error"}
STEP = {"stepID", "attempt", "status", "phase"}
RUNS = "SELECT workflow_id, status FROM app.runs WHERE forked_from IS NULL"
ACTIVE = "SELECT active_v FROM app.recipes WHERE id = 'compile-default'"
OPS = "SELECT payload, inline ->> 'op' AS op FROM app.artifacts WHERE step_id = 'OPS'"
ANSWERS = "SELECT origin, dedupe_key FROM app.human_interactions ORDER BY created_at"
ENGINE = "SELECT status, application_version FROM dbos.workflow_status WHERE workflow_uuid = %(w)s"
DEPTH = (
    "SELECT column_name FROM information_schema.columns WHERE table_schema = 'app'"
    " AND table_name = 'v_ops_queue_depth'"
)
COLUMNS = {"queue_name", "status", "workflow_count", "oldest_created_at", "newest_created_at"}


def _faults(typed: Sequence[Typed]) -> list[str]:
    return [fault for each in typed for fault in each.faults]


def _codes(typed: Sequence[Typed]) -> list[str]:
    """The status codes that lines printed, in their order."""
    return [text for each in typed if re.fullmatch(r"\d{3}", text := each.printed.strip())]


def _wid(typed: Sequence[Typed]) -> str:
    """The workflow id that L10 prints."""
    return next(each.printed.strip() for each in typed if 'echo "$W"' in each.line.run)


def _rows(stack: Stack, wid: str) -> tuple[list[Row], Row]:
    """The runs of schema app but forks, and the engine's row of this one."""
    return stack.app_sql.rows(RUNS), stack.sys_sql.one(ENGINE, w=wid)


@pytest.mark.claim("S00.course-words-run")
def test_the_qas_track_starts_replays_refuses_answers_operates_and_proves(
    stacks: Stacks, tmp_path: Path
) -> None:
    with stacks.start(env=ENV) as stack:
        ended, typed = walk_lessons(stack, QA, tmp_path, find_missing_tools())
        wid = _wid(typed)
        header = stack.api.get(f"/api/runs/{wid}").json()
        steps = stack.api.get(f"/api/runs/{wid}/steps").json()
        recorded = stack.api.get(f"/api/ops/wf/{wid}/steps").json()
        runs, engine = _rows(stack, wid)
        ops, answers = stack.app_sql.rows(OPS), stack.app_sql.rows(ANSWERS)
        columns = {row["column_name"] for row in stack.sys_sql.rows(DEPTH)}

    assert _faults(typed) == []
    assert (ended.code, ended.stderr, len(typed)) == (0, "", 66)
    assert _codes(typed) == ["409", "400", "400", "400", "400", "409", "400"]
    assert header.keys() >= HEADER
    assert [step["stepID"] for step in steps if step.keys() >= STEP] == [
        "CompileST", "ApplyPatchST", "DecideST", "ExecuteST",
    ]  # fmt: skip
    assert [row["functionId"] for row in recorded] == sorted(row["functionId"] for row in recorded)
    assert runs == [{"workflow_id": wid, "status": "succeeded"}]
    assert engine == {"status": "SUCCESS", "application_version": VERSION}
    assert [(row["op"], row["payload"]["op"]) for row in ops] == [("fork", "fork")]
    assert answers == [{"origin": "manual", "dedupe_key": "qa-hitl-1"}]
    assert columns == COLUMNS


@pytest.mark.claim("S00.course-words-run")
def test_the_owners_track_is_answered_from_outside_and_reads_the_sign_off(
    stacks: Stacks, tmp_path: Path
) -> None:
    with stacks.start(env=ENV) as stack:
        ended, typed = walk_lessons(stack, OWNER, tmp_path, find_missing_tools())
        wid = _wid(typed)
        board = stack.api.get("/api/ops/signoff").json()
        answers = stack.app_sql.rows(ANSWERS)
        _, engine = _rows(stack, wid)

    assert _faults(typed) == []
    assert (ended.code, ended.stderr, len(typed)) == (0, "", 28)
    assert _codes(typed) == ["409"]
    assert (board["verdict"], board["posture"]["appVersion"]) == ("NO_GO", VERSION)
    assert answers == [{"origin": "webhook-ci", "dedupe_key": f"evt-{wid}-1"}]
    assert engine["application_version"] == VERSION


@pytest.mark.claim("S00.course-words-run")
@pytest.mark.parametrize("stand_ins", [find_missing_tools(), TOOLS], ids=["tools", "stand-ins"])
def test_the_engineers_track_is_refused_over_budget_and_reads_the_recipe(
    stacks: Stacks, tmp_path: Path, stand_ins: Sequence[str]
) -> None:
    with stacks.start(env=ENV) as stack:
        ended, typed = walk_lessons(stack, ENGINEER, tmp_path, stand_ins)
        wid = _wid(typed)
        recipes = stack.api.get("/api/recipes").json()
        active = stack.app_sql.value(ACTIVE)
        runs, engine = _rows(stack, wid)

    assert _faults(typed) == []
    assert (ended.code, ended.stderr, len(typed)) == (0, "", 31)
    assert _codes(typed) == ["400", "400"]
    assert ("compile-default", active) in [(each["id"], active) for each in recipes]
    assert runs == [{"workflow_id": wid, "status": "waiting_input"}]
    assert engine == {"status": "PENDING", "application_version": VERSION}


def test_every_lesson_with_a_line_to_type_is_in_a_track() -> None:
    assert {*OWNER, *QA, *ENGINEER} == set(course())
