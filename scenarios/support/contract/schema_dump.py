"""The dump of a schema, read from the server's own catalogs through an oracle."""

from __future__ import annotations

from typing import Any

from pytest_spec11.canon import digest
from pytest_spec11.oracles.sql import Sql

_PARTS = {
    "schema": (
        "SELECT nspname, nspowner::regrole::text, nspacl::text FROM pg_namespace"
        " WHERE nspname = %(schema)s"
    ),
    "defaults": (
        "SELECT defaclobjtype::text, defaclacl::text FROM pg_default_acl"
        " WHERE defaclnamespace = to_regnamespace(%(schema)s) ORDER BY 1, 2"
    ),
    "sequences": (
        "SELECT seqrelid::regclass::text, seqtypid::regtype::text, seqstart::text, seqmin::text,"
        " seqmax::text, seqincrement::text, seqcache::text, seqcycle FROM pg_sequence"
        " JOIN pg_class c ON c.oid = seqrelid WHERE relnamespace = to_regnamespace(%(schema)s)"
        " ORDER BY relname"
    ),
    "tables": (
        "SELECT relname, relkind::text, relowner::regrole::text, relacl::text, reloptions::text"
        " FROM pg_class"
        " WHERE relnamespace = to_regnamespace(%(schema)s) ORDER BY relname"
    ),
    "columns": (
        "SELECT relname, attnum, attname, format_type(atttypid, atttypmod) AS type, attnotnull,"
        " attgenerated::text, pg_get_expr(adbin, adrelid) AS value FROM pg_attribute"
        " JOIN pg_class c ON c.oid = attrelid LEFT JOIN pg_attrdef ON adrelid = attrelid"
        " AND adnum = attnum WHERE relnamespace = to_regnamespace(%(schema)s) AND attnum > 0"
        " AND NOT attisdropped ORDER BY relname, attnum"
    ),
    "constraints": (
        "SELECT conname, pg_get_constraintdef(oid) AS definition FROM pg_constraint"
        " WHERE connamespace = to_regnamespace(%(schema)s) ORDER BY conname, definition"
    ),
    "indexes": (
        "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = %(schema)s"
        " ORDER BY indexname"
    ),
    "functions": (
        "SELECT proname, pg_get_functiondef(oid) AS definition FROM pg_proc"
        " WHERE pronamespace = to_regnamespace(%(schema)s) AND prokind <> 'a'"
        " ORDER BY proname, definition"
    ),
    "triggers": (
        "SELECT tgname, pg_get_triggerdef(t.oid) AS definition FROM pg_trigger t"
        " JOIN pg_class c ON c.oid = tgrelid WHERE NOT tgisinternal"
        " AND relnamespace = to_regnamespace(%(schema)s) ORDER BY tgname, definition"
    ),
    "views": (
        "SELECT viewname, definition FROM pg_views WHERE schemaname = %(schema)s ORDER BY viewname"
    ),
}


def dump(sql: Sql, schema: str) -> dict[str, Any]:
    """The schema, its defaults, and every sequence, table, column, constraint, index, function,
    trigger and view in it."""
    parts = {name: sql.rows(query, schema=schema) for name, query in _PARTS.items()}
    assert parts["tables"], f"schema {schema} is empty or not there"
    return parts


def fingerprint(app_sql: Sql, sys_sql: Sql) -> dict[str, str]:
    """One digest for the dump of each schema."""
    return {"app": digest(dump(app_sql, "app")), "dbos": digest(dump(sys_sql, "dbos"))}
