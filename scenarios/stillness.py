"""Nothing moves but our own requests: the worker is frozen while we look for writes."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from pytest_spec11.oracles.snapshot import unchanged
from pytest_spec11.stacks import Stack


@contextmanager
def frozen(stack: Stack) -> Iterator[None]:
    """The block runs while the stack's worker stands still, its heartbeat included."""
    stack.process("worker").signal(signal.SIGSTOP)
    try:
        yield
    finally:
        stack.process("worker").signal(signal.SIGCONT)


@contextmanager
def zero_writes(stack: Stack) -> Iterator[None]:
    """The block wrote no row of either schema, and nothing else could have.

    Raises AssertionError that names the tables.
    """
    with frozen(stack), unchanged(stack.app_sql, stack.sys_sql):
        yield
