"""Rows that a superuser changes for a while; afterwards they are as they were."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pytest_spec11.stacks import Stack

# All of it is the suite's own text: {sets} is one column and its new value.
_SAVE = "CREATE TABLE public.saved AS SELECT {column} AS was FROM {table} WHERE {where}"
_CHANGE = "UPDATE {table} SET {sets} WHERE {where} RETURNING 1 AS hit"
_FORGET = "DROP TABLE public.saved"


@contextmanager
def changed(stack: Stack, table: str, sets: str, where: str, **values: Any) -> Iterator[None]:
    """One column of one row is other than it was, for as long as the block runs."""
    column = sets.partition(" = ")[0]
    back = f"{column} = (SELECT was FROM public.saved)"  # noqa: S608  # our own words
    places = {"table": table, "where": where, "column": column}
    stack.admin.execute(_SAVE.format(**places), **values)
    try:
        hit = stack.admin.execute(_CHANGE.format(**places, sets=sets), **values)
        assert hit == [{"hit": 1}], "void: not one row was changed"
        yield
    finally:
        stack.admin.execute(_CHANGE.format(**places, sets=back), **values)
        stack.admin.execute(_FORGET)
