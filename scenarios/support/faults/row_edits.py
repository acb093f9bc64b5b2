"""Rows that a superuser changes and restores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

from pytest_spec11.stacks import Stack

# The suite itself writes all of this text: {sets} is one column and its new value.
_SAVE = "CREATE TABLE {kept} AS SELECT {column} AS was FROM {table} WHERE {where}"
_CHANGE = "UPDATE {table} SET {sets} WHERE {where} RETURNING 1 AS hit"
_FORGET = "DROP TABLE {kept}"
_NUMBERS = count(1)


@contextmanager
def edit_row(stack: Stack, table: str, sets: str, where: str, **values: Any) -> Iterator[None]:
    """Change one column of one row while the block runs."""
    column = sets.partition(" = ")[0]
    kept = f"public.kept_{next(_NUMBERS)}"
    back = f"{column} = (SELECT was FROM {kept})"  # noqa: S608  # our own words
    places = {"kept": kept, "table": table, "where": where, "column": column}
    stack.admin.execute(_SAVE.format(**places), **values)
    try:
        hit = stack.admin.execute(_CHANGE.format(**places, sets=sets), **values)
        assert hit == [{"hit": 1}], "void: not one row was changed"
        yield
    finally:
        stack.admin.execute(_CHANGE.format(**places, sets=back), **values)
        stack.admin.execute(_FORGET.format(**places))
