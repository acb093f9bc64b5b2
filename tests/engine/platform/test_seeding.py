"""Seeded runs are what real ones leave: the same rows, empty where theirs are empty; they prove."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Final

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import scalar_row

from benchmarks.seeding import seed_runs
from engine.postgres.server import EmbeddedServer
from pytest_spec11.waiting import eventually
from tests.engine.shim_process import Shim, running_shim
from tests.engine.worker_process import running_worker

RUNS: Final = 200
WORDS_OF_RUNS: Final = ("queued", "waiting_input", "succeeded", "retries_exceeded", "canceled")
TABLES: Final = """
SELECT schemaname || '.' || tablename FROM pg_tables
WHERE schemaname IN ('app', 'dbos') ORDER BY 1
"""
CHILDREN: Final = "SELECT workflow_uuid FROM dbos.workflow_status WHERE parent_workflow_id = %s"
GATE: Final = "SELECT gate_key FROM app.human_gates WHERE workflow_id = %s"
STANDS: Final = """
SELECT count(*) FROM app.runs r JOIN dbos.workflow_status w ON w.workflow_uuid = r.execution_id
WHERE r.workflow_id = %s AND r.status = %s
  AND (r.status = 'waiting_input' OR w.completed_at IS NOT NULL)
"""
PARKED: Final = """
SELECT count(*) FROM dbos.operation_outputs
WHERE workflow_uuid = %s AND function_name = 'DBOS.sleep'
"""
ONE: Final = "SELECT workflow_id FROM app.runs WHERE status = %s ORDER BY created_at LIMIT 1"
ASKING: Final = """
SELECT workflow_id AS id, 'ui:' || gate_key AS key FROM app.human_gates
WHERE state IN ('PENDING', 'CANCELLED') ORDER BY 1, 2
"""
OPEN: Final = """
SELECT workflow_uuid, key FROM dbos.workflow_events p
WHERE key LIKE 'ui:%' AND key NOT LIKE 'ui:%:%'
  AND NOT EXISTS (SELECT FROM dbos.workflow_events r
                  WHERE r.workflow_uuid = p.workflow_uuid AND r.key = p.key || ':result')
ORDER BY 1, 2
"""
# Columns that say what a row is for, and what all these runs have alike: in both the same.
ALIKE: Final = frozenset({
    "status", "state", "kind", "step_id", "phase", "function_id", "function_name", "name", "idx",
    "attempt", "agent", "queue_name", "serialization", "err_code", "provider", "decision",
    "purpose", "consumed", "consumed_by_function_id", "last_step", "next_action", "error", "lane",
    "priority", "recovery_attempts", "seen_count", "served_by", "schema_hash", "deps_hash",
    "recipe_hash", "executor_id", "application_name", "structured", "tool_calls", "metrics",
    "template_key",
})  # fmt: skip


@pytest.fixture(scope="module")
def real(clone: Callable[[], str]) -> Iterator[tuple[Shim, dict[str, str]]]:
    """A database with one real run of each kind, and their ids by how they stand."""
    with running_shim(clone()) as shim:
        with running_worker(shim.dsn):
            ended = {
                "waiting_input": _make_run(shim, "waits", None),
                "succeeded": _make_run(shim, "goes", "yes"),
                "retries_exceeded": _make_run(shim, "is refused", "no"),
                "canceled": _make_run(shim, "is canceled", "cancel"),
            }
            for word, wid in ended.items():
                _wait(shim, STANDS, wid, word)
        yield shim, {**ended, "queued": shim.start("is queued").json()["workflowID"]}


@pytest.fixture(scope="module")
def seeded(server: EmbeddedServer, clone: Callable[[], str]) -> Iterator[Shim]:
    """A database that was seeded."""
    dsn = clone()
    seed_runs(server.dsn(str(conninfo_to_dict(dsn)["dbname"]), "postgres"), RUNS)
    with running_shim(dsn) as shim:
        yield shim


def _make_run(shim: Shim, goal: str, then: str | None) -> str:
    """A run that waits, and then what is done to it."""
    wid = str(shim.start(goal).json()["workflowID"])
    _wait(shim, PARKED, wid)
    if then == "cancel":
        said = {"actor": "test", "reason": "test"}
        shim.http.post(f"/api/ops/wf/{wid}/cancel", json=said).raise_for_status()
    elif then is not None:
        (gate,) = shim.rows(GATE, wid)
        path = f"/api/runs/{wid}/gates/{gate['gate_key']}/reply"
        reply = {"payload": {"choice": then}, "dedupeKey": "test", "origin": "manual"}
        shim.http.post(path, json=reply).raise_for_status()
    return wid


def _wait(shim: Shim, query: str, *values: object) -> None:
    """Return when ``query`` counts one."""
    eventually(lambda: shim.rows(query, *values) == [{"count": 1}], deadline_s=30)


def _count_rows(shim: Shim, wid: str) -> Counter[str]:
    """Each row of a run or of its children: its table, its columns with a value, its words."""
    children = [row["workflow_uuid"] for row in shim.rows(CHILDREN, wid)]
    (run,) = shim.rows("SELECT id FROM app.runs WHERE workflow_id = %s", wid)
    names = [f"%{name}%".replace("_", r"\_") for name in (wid, run["id"], *children)]
    found: Counter[str] = Counter()
    with psycopg.connect(shim.dsn, row_factory=scalar_row) as db:
        for table in db.execute(TABLES).fetchall():
            query = f"SELECT to_jsonb(t) FROM {table} t WHERE t::text LIKE ANY(%s)"  # noqa: S608  # a name of the catalogue
            found.update(_describe_row(table, row) for row in db.execute(query.encode(), [names]))
    return found


def _describe_row(table: str, row: dict[str, Any]) -> str:
    has = sorted(name for name, value in row.items() if value is not None)
    said = {name: row[name] for name in sorted(row.keys() & ALIKE)}
    return f"{table} {has} {json.dumps(said, sort_keys=True)}"


@pytest.mark.parametrize("word", WORDS_OF_RUNS)
def test_a_seeded_run_left_what_a_real_one_leaves(
    real: tuple[Shim, dict[str, str]], seeded: Shim, word: str
) -> None:
    shim, wids = real
    (like,) = seeded.rows(ONE, word)

    assert _count_rows(seeded, like["workflow_id"]) == _count_rows(shim, wids[word])


@pytest.mark.parametrize("word", WORDS_OF_RUNS)
def test_the_engine_knows_a_seeded_run_and_proves_it(seeded: Shim, word: str) -> None:
    (run,) = seeded.rows(ONE, word)
    path = f"/api/runs/{run['workflow_id']}"

    header = seeded.http.get(path).raise_for_status().json()
    steps = seeded.http.get(f"{path}/steps").raise_for_status().json()
    cards = seeded.http.get(f"{path}/proofs").raise_for_status().json()

    assert header["workflowID"] == run["workflow_id"]
    assert len(steps) == {"queued": 0, "succeeded": 4}.get(word, 2)
    assert [card for card in cards if card["verdict"] != "PASS"] == []


def test_what_is_kept_of_open_prompts_is_seeded_too(seeded: Shim) -> None:
    kept = seeded.rows("SELECT id, key FROM dbos.spec11_open_prompts ORDER BY 1, 2")

    assert kept
    assert kept == seeded.rows(ASKING)


def test_open_prompts_are_those_without_a_result(real: tuple[Shim, dict[str, str]]) -> None:
    shim, wids = real
    with psycopg.connect(shim.dsn) as db:
        kept = db.execute("SELECT id, key FROM dbos.spec11_open_prompts ORDER BY 1, 2").fetchall()
        wanted = db.execute(OPEN.encode()).fetchall()

    assert {id_ for id_, _ in kept} == {wids["waiting_input"], wids["canceled"]}
    assert kept == wanted
