"""Fills a migrated database with runs, as if the engine had worked for a month.

Half of the runs ended within the last 30 days, a tenth waits at gates, the rest is queued.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import psycopg
from psycopg.rows import scalar_row

from engine.contracts.plans import BuildAnswer, PlanAnswer
from engine.core.canon import digest

APP_VERSION: Final = "bench"
FINISHED: Final = 0.5
WAITING: Final = 0.1
STATEMENTS: Final = Path(__file__).with_suffix(".sql")
NAME: Final = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
METRICS: Final = (
    '"billedMinutes":1,"outputBytes":21,"cutBytes":0,"cpuMs":1,"memPeakMB":1,"wallMs":1'
)
# What is the same for each run, because each asks the same agents for the same thing.
ALIKE: Final = {
    "app_version": APP_VERSION,
    "plan_schema": digest(PlanAnswer.model_json_schema()),
    "plan_served": "replay:b82ab549cd67e51b8c9128fba4d11932e5d45936b8dc0a7f68c975f3d812985b",
    "build_schema": digest(BuildAnswer.model_json_schema()),
    "build_served": "replay:e93febec25c786fd6435fb4d37b5b77e104d586fa4e583934a2ac279c979c7fb",
    "deps_hash": "cb0626f194d0d7208d5e8e78f3419db9636285cbfd3b66bd2e661f437ab6e15c",
    "metrics": f"{{{METRICS}}}",
    "task_output": (
        '"attempt":1,"errCode":"NONE","exit":0,"stdout":"OK: run-test smoke\\n","stderr":"",'
        f'"filesOut":{{"out.json":"{{}}"}},"metrics":{{{METRICS}}},"sandboxRef":"mock-runner"}}'
    ),
}
# Nobody reads while rows come in: keys and triggers would check what is right by construction.
QUICKLY: Final = (
    "SET session_replication_role = replica",
    "SET synchronous_commit = off",
    "SET work_mem = '256MB'",
    "SET maintenance_work_mem = '512MB'",
)
# An index that is neither ready nor valid is neither kept nor used; REINDEX makes it both again.
SUSPEND: Final = """
UPDATE pg_index SET indisready = false, indisvalid = false
WHERE indrelid IN (SELECT oid FROM pg_class
                   WHERE relkind = 'r'
                     AND relnamespace IN ('app'::regnamespace, 'dbos'::regnamespace))
"""
FILLED: Final = """
SELECT format('%I.%I', schemaname, relname) FROM pg_stat_user_tables
WHERE schemaname IN ('app', 'dbos') ORDER BY pg_relation_size(relid) DESC
"""
REMOVE: Final = "DROP TABLE public.seed; DROP FUNCTION public.seed_hex"
APART: Final = "opencode_calls"  # what comes from here on has tables of its own: a second session


def seed_runs(dsn: str, runs: int) -> None:
    """``runs`` of them in the migrated database at ``dsn``, which has none and is ours alone.

    The role is a superuser. What an interrupted call leaves is not usable.
    """
    finished, waiting = int(runs * FINISHED), int(runs * WAITING)
    values = {**ALIKE, "runs": runs, "finished": finished, "waiting": waiting}
    _, *parts = NAME.split(STATEMENTS.read_text(encoding="utf-8"))
    statements = dict(zip(parts[::2], parts[1::2], strict=True))
    places = {name: place for place, name in enumerate(statements)}
    first, half = places["intents"], places[APART]
    bodies = [*statements.values()]
    with ThreadPoolExecutor(2) as sessions:
        _execute(dsn, [*bodies[:first], SUSPEND], values)
        list(
            sessions.map(
                lambda some: _execute(dsn, some, values), (bodies[first:half], bodies[half:])
            )
        )
        _execute(dsn, [REMOVE], None)
        list(sessions.map(lambda name: _finish(dsn, name), _tables(dsn)))


def _execute(dsn: str, statements: list[str], values: Mapping[str, object] | None) -> None:
    with psycopg.connect(dsn, autocommit=True) as db:
        for statement in (*QUICKLY, *statements):
            db.execute(statement.encode(), values)


def _finish(dsn: str, table: str) -> None:
    """Make the indexes of the table; the planner knows what is in it, as after an autovacuum."""
    _execute(dsn, [f"REINDEX TABLE {table}", f"VACUUM (ANALYZE) {table}"], None)


def _tables(dsn: str) -> list[str]:
    """All tables of both schemas, the largest first."""
    with psycopg.connect(dsn, row_factory=scalar_row) as db:
        return db.execute(FILLED).fetchall()
