"""Every row of both schemas that belongs to a run, to check that nobody changed one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pytest_spec11.oracles.sql import Sql
from pytest_spec11.stacks import Stack
from scenarios.support.contract import identity

_TABLES = """
SELECT table_schema || '.' || table_name AS name FROM information_schema.tables
WHERE table_schema = %(schema)s AND table_type = 'BASE TABLE' ORDER BY 1
"""
_ROWS = """
SELECT t.xmin::text || ' ' || t::text AS row FROM {table} AS t
WHERE t::text LIKE ANY(%(its)s) AND NOT t::text LIKE ANY(%(others)s) ORDER BY 1
"""
_CHILDREN = "SELECT workflow_uuid FROM dbos.workflow_status WHERE parent_workflow_id = %(w)s"


def of_run(stack: Stack, wid: str, *, but: Iterable[str] = ()) -> dict[str, list[str]]:
    """The rows that name the run or a task of its own, by table, ``xmin`` included.

    Those that name one of the forks ``but`` are that fork's, or tell that it was made.
    """
    children = [row["workflow_uuid"] for row in stack.sys_sql.rows(_CHILDREN, w=wid)]
    its = [wid, identity.run_id(wid), *children]
    others = [name for fork in but for name in (fork, identity.run_id(fork))]
    found = [
        *_find_rows(stack.app_sql, "app", its, others),
        *_find_rows(stack.sys_sql, "dbos", its, others),
    ]
    return {table: rows for table, rows in found if rows}


def _find_rows(
    sql: Sql, schema: str, its: list[str], others: list[str]
) -> Iterator[tuple[str, list[str]]]:
    names = {"its": [*map(_anywhere, its)], "others": [*map(_anywhere, others)]}
    for table in sql.rows(_TABLES, schema=schema):
        rows = sql.rows(_ROWS.format(table=table["name"]), **names)
        yield table["name"], [row["row"] for row in rows]


def _anywhere(name: str) -> str:
    return "%" + name.replace("_", r"\_") + "%"
