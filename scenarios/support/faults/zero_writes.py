"""Zero writes: freezes the worker while it looks for writes, so only our requests can write."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from pytest_spec11.oracles.snapshot import assert_unchanged, control
from pytest_spec11.stacks import Stack
from pytest_spec11.waiting import eventually

STILL_S = 10.0  # by then, runs of other tests have reached their gates
BUSY = (  # executing, or it wrote and has not committed
    "SELECT count(*) AS sessions FROM pg_stat_activity WHERE datname = current_database()"
    " AND usename = 'spec11' AND (state = 'active' OR backend_xid IS NOT NULL)"
)


@contextmanager
def freeze_worker(stack: Stack) -> Iterator[None]:
    """Freeze the stack's worker, with its heartbeat, while the block runs.

    It is frozen between two transactions, and the server has finished all that it sent.
    """
    try:
        eventually(lambda: _stands_still(stack), deadline_s=STILL_S)
        yield
    finally:
        stack.process("worker").signal(signal.SIGCONT)


@contextmanager
def zero_writes(stack: Stack) -> Iterator[None]:
    """Check that the block wrote no row of either schema. Nothing else can write meanwhile.

    Raises AssertionError that names the tables.
    """
    with freeze_worker(stack), assert_unchanged(stack.app_sql, stack.sys_sql):
        yield


def _stands_still(stack: Stack) -> bool:
    """Whether the worker was frozen at a good moment; if not, it goes on to the next."""
    worker = stack.process("worker")
    worker.signal(signal.SIGSTOP)
    still = stack.admin.execute(BUSY) == [{"sessions": 0}] and not control(
        stack.app_sql, stack.sys_sql
    )
    if not still:
        worker.signal(signal.SIGCONT)
    return still
