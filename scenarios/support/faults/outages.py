"""A database that runs but refuses the engine; the prover's own connections stay."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pytest_spec11.stacks import Stack

_CUT = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND usename = 'spec11'"
)


@contextmanager
def refusing(stack: Stack) -> Iterator[None]:
    """In the block, Postgres refuses new connections of the engine, and the old ones are cut."""
    name = stack.app_sql.value("SELECT current_database()")
    assert stack.sys_sql.value("SELECT current_database()") == name
    stack.admin.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT 0')
    try:
        assert stack.admin.execute(_CUT) != []
        yield
    finally:
        stack.admin.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT -1')
