"""Statements that wait in the database until a test lets them go on: what is to meet, meets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pytest_spec11.oracles.sql import Admin
from pytest_spec11.stacks import Stack
from pytest_spec11.waiting import eventually

# Its name puts it before every other trigger of the row.
PLANT = """
CREATE FUNCTION public.hold_{key}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF {when} THEN
        PERFORM pg_advisory_xact_lock({key});
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER aa_hold_{key} {event} FOR EACH ROW EXECUTE FUNCTION public.hold_{key}()
"""
REMOVE = "DROP FUNCTION IF EXISTS public.hold_{key} CASCADE"
WAITING = """
SELECT count(*) AS n FROM pg_locks l JOIN pg_database d ON d.oid = l.database
WHERE l.locktype = 'advisory' AND NOT l.granted AND l.objid = %(key)s
  AND d.datname = current_database()
"""
REACHED_S = 60.0


@dataclass(frozen=True)
class Hold:
    """One place where statements wait."""

    admin: Admin
    key: int

    def count_waiting(self) -> int:
        """How many statements wait there now."""
        return int(self.admin.execute(WAITING, key=self.key)[0]["n"])

    def await_statements(self, number: int) -> None:
        """Return when at least so many statements wait there."""
        eventually(lambda: self.count_waiting() >= number, deadline_s=REACHED_S)


@contextmanager
def hold(stack: Stack, key: int, event: str, when: str = "true") -> Iterator[Hold]:
    """Statements that cause ``event``, such as ``BEFORE INSERT ON app.runs``, wait in the block.

    They go on when it ends. ``when`` is a condition of SQL over NEW that may ask tables, too.
    ``key`` is the hold's own in its database.
    """
    admin = stack.admin
    try:
        with admin.holding(key):
            admin.execute(PLANT.format(key=key, event=event, when=when))
            yield Hold(admin, key)
    finally:
        admin.execute(REMOVE.format(key=key))
