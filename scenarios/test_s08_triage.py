"""S08: triage names the first level at which the trouble of a run shows, in one fixed order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pytest_spec11.stacks import Stack, Stacks
from scenarios.support.contract import identity
from scenarios.support.contract.commands import engine
from scenarios.support.faults.row_edits import edit_row
from scenarios.support.runs.operations import await_settled
from scenarios.support.runs.run_lifecycle import complete_run

pytestmark = pytest.mark.S08

LEVELS = ["healthz", "run API", "app SQL", "engine SQL", "repro pack", "logs"]
NOBODY = "ih_" + "0" * 64
# From the last level to the first: what is changed so that it shows there, and what must be said.
PLANTS = {
    "repro pack": (
        "app.artifacts",
        'inline = \'{"text": "nothing of the kind"}\'',
        "run_id = %(r)s AND uri LIKE '%%/stdout.log'",
        "-art-ExecuteST-",
    ),
    "engine SQL": (
        "dbos.workflow_status",
        "status = 'ERROR'",
        "workflow_uuid = %(w)s",
        "app says succeeded, engine says ERROR",
    ),
    "app SQL": (
        "app.run_steps",
        "started_at = started_at - interval '1 year'",
        "run_id = %(r)s AND step_id = 'DecideST'",
        "-step-DecideST-1: ",
    ),
    "run API": (
        "app.runs",
        "retry_count = -1",
        "workflow_id = %(w)s",
        "500 internal error",
    ),
    "healthz": (
        "dbos.dbos_migrations",
        "version = version + 1",
        "true",
        "schema dbos is at version ",
    ),
}


@pytest.fixture(scope="module")
def troubled(stacks: Stacks) -> Iterator[Stack]:
    """A private stack whose rows are changed."""
    with stacks.start() as stack:
        yield stack


def triage(stack: Stack, wid: str, *logs: Path) -> tuple[int, list[list[str]]]:
    """How it ended, and the fields of each line."""
    given = [word for log in logs for word in ("--log", str(log))]
    ended = engine(stack, "triage", "--run", wid, "--url", stack.base_url, *given, deadline_s=60)
    assert ended.stderr == ""
    return ended.code, [line.split("\t") for line in ended.stdout.splitlines()]


def first(name: str) -> list[tuple[str, str]]:
    """The levels and their words when ``name`` is where the trouble shows first."""
    at = LEVELS.index(name)
    words = ["ok"] * at + ["fault"] + ["not looked at"] * (len(LEVELS) - at - 1)
    return [*zip(LEVELS, words, strict=True)]


@pytest.mark.claim("S08.triage-order")
def test_each_level_is_named_before_those_below_it(
    troubled: Stack, unique_goal: str, tmp_path: Path
) -> None:
    wid = complete_run(troubled.api, unique_goal)["workflowID"]
    assert await_settled(troubled, wid) == ("succeeded", "SUCCESS")
    names = {"w": wid, "r": identity.run_id(wid)}
    logs = [troubled.process(name).log for name in ("api", "worker")]
    assert triage(troubled, wid, *logs) == (0, [[name, "ok"] for name in LEVELS])

    told = tmp_path / "api.log"
    with edit_row(troubled, *PLANTS["run API"][:3], **names):
        assert troubled.api.get(f"/api/runs/{wid}").status == 500
    told.write_bytes(troubled.process("api").log.read_bytes())
    code, lines = triage(troubled, wid, told)
    assert (code, [(line[0], line[1]) for line in lines]) == (1, first("logs"))
    assert lines[-1][2].startswith(f"{told}: ERROR:engine.api.http:failed GET /api/runs/ih_")

    with ExitStack() as planted:
        for name, (table, sets, where, said) in PLANTS.items():
            planted.enter_context(edit_row(troubled, table, sets, where, **names))
            code, lines = triage(troubled, wid, told)
            assert (code, [(line[0], line[1]) for line in lines]) == (1, first(name))
            assert said in lines[LEVELS.index(name)][2]

    assert triage(troubled, identity.run_id(wid)) == (
        0,
        [*([name, "ok"] for name in LEVELS[:-1]), ["logs", "not given"]],
    )


@pytest.mark.claim("S08.triage-order")
def test_a_run_that_there_is_not_and_an_api_that_is_not_there(troubled: Stack) -> None:
    code, lines = triage(troubled, NOBODY)
    away = engine(troubled, "triage", "--run", NOBODY, "--url", "http://127.0.0.1:9", "--json")

    assert troubled.api.get(f"/api/runs/{NOBODY}").status == 404
    assert (code, [(line[0], line[1]) for line in lines]) == (1, first("run API"))
    assert lines[1][2] == "404 run not found"
    assert (away.code, away.stderr) == (1, "")
    begin = '{"level": "healthz", "outcome": "fault", "why": "nobody answers at http://127.0.0.1:9'
    assert away.stdout.startswith(begin)
