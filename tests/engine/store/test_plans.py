"""What a statement reads does not grow with what was: the planner's own words, on many runs.

Every statement of `engine/store/sql` is looked at, so a new one is, too: one with a parameter that
`benchmarks.statements` has no value for fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import scalar_row

from benchmarks import statements
from benchmarks.seeding import FINISHED, seed_runs
from benchmarks.statements import LARGEST_PAGE, STATEMENTS, Plan
from engine.postgres.server import EmbeddedServer

RUNS: Final = 4_000
LIVE: Final = round(RUNS * (1 - FINISHED))
STATUSES: Final = 7  # words of the durable engine: a list may read a page of each
PAGE: Final = 3 * LARGEST_PAGE  # rows to read for the largest page, or for all of one run
GROWS: Final = RUNS // 20  # a table with more rows than this has them from runs
# What counts or compares all that lives reads all that lives, and from an index of no more.
OF_THE_LIVE: Final = frozenset({
    "queues.depth", "throughput.queues",
    "signoff.live_runs", "signoff.live_executions", "executors.take_over",
})  # fmt: skip
OF_LIVE_ROWS: Final = {"dbos.spec11_open_prompts"}
# What ended within 24 hours is found by blocks, among what else they hold.
OF_A_DAY: Final = frozenset({"signoff.ended_lately", "signoff.failures"})
TABLES: Final = """
SELECT relnamespace::regnamespace || '.' || relname FROM pg_class
WHERE relkind = 'r' AND relnamespace IN ('app'::regnamespace, 'dbos'::regnamespace)
  AND reltuples > %s
"""


@pytest.fixture(scope="module")
def db(server: EmbeddedServer, clone: Callable[[], str]) -> Iterator[psycopg.Connection[Any]]:
    """A connection to a database with many runs."""
    dsn = server.dsn(str(conninfo_to_dict(clone())["dbname"]), "postgres")
    seed_runs(dsn, RUNS)
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="module")
def growing(db: psycopg.Connection[Any]) -> set[str]:
    """The tables that have more rows the more runs there are."""
    with db.cursor(row_factory=scalar_row) as rows:
        found = {*rows.execute(TABLES, [GROWS]).fetchall()}
    assert {"app.runs", "app.human_gates", "app.artifacts", "dbos.workflow_status"} <= found
    return found - OF_LIVE_ROWS


@pytest.fixture(scope="module")
def examples(db: psycopg.Connection[Any]) -> Mapping[str, Any]:
    """A value for each parameter."""
    return statements.find_examples(db)


@pytest.mark.parametrize("name", STATEMENTS)
def test_no_statement_reads_more_when_more_was(
    db: psycopg.Connection[Any], growing: set[str], examples: Mapping[str, Any], name: str
) -> None:
    text = STATEMENTS[name]
    for values in statements.list_variants(name):
        plan = statements.explain(db, text, {**examples, **values})

        assert _whole_tables(plan, growing) == [], values
        assert plan.rows <= _most(name), (values, plan)


def _most(name: str) -> int:
    if name == "ops.list":
        return STATUSES * LARGEST_PAGE
    if name in OF_A_DAY:
        return LIVE + PAGE
    return 3 * LIVE if name in OF_THE_LIVE else PAGE


def _whole_tables(plan: Plan, growing: set[str]) -> list[str]:
    return [scan.table for scan in plan.scans if scan.kind == "Seq Scan" and scan.table in growing]


def test_a_table_that_is_read_as_a_whole_is_seen(
    db: psycopg.Connection[Any], growing: set[str]
) -> None:
    """The check itself: without an index for it, a query is found out."""
    plan = statements.explain(db, "SELECT FROM app.runs WHERE trace_id = 'none'", {})

    assert _whole_tables(plan, growing) == ["app.runs"]
    assert plan.rows >= RUNS
