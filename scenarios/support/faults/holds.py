"""Holds: statements wait in the database until a test lets them go on, so that they meet."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass

from pytest_spec11.oracles.http import Reply
from pytest_spec11.oracles.sql import Admin
from pytest_spec11.stacks import Stack
from pytest_spec11.waiting import GIVE_UP_S, eventually

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
BLOCKED = """
SELECT count(*) AS n FROM pg_stat_activity
WHERE datname = current_database() AND usename = 'spec11' AND wait_event_type = 'Lock'
"""
REACHED_S = 60.0
STARTS = 201  # as below, for starts
ANSWERS = 501  # the key of the hold that answers meet at
# Of an api-shim whose requests are held: none of them is given up meanwhile.
PATIENT = {"SPEC11_DATABASE_TIMEOUT_MS": "600000"}


@dataclass(frozen=True)
class Hold:
    """One place in the database where statements wait."""

    admin: Admin
    key: int
    let_go: Callable[[], None]  # statements go on before the block ends

    def count_waiting(self) -> int:
        """The number of statements that wait there now."""
        return int(self.admin.execute(WAITING, key=self.key)[0]["n"])

    def count_blocked(self) -> int:
        """How many statements of the engine wait for a lock now, here or behind these."""
        return int(self.admin.execute(BLOCKED)[0]["n"])

    def await_blocked(self, number: int) -> None:
        """Wait until at least ``number`` statements wait for a lock."""
        eventually(lambda: self.count_blocked() >= number, deadline_s=REACHED_S)

    def await_statements(self, number: int) -> None:
        """Wait until at least ``number`` statements wait there."""
        eventually(lambda: self.count_waiting() >= number, deadline_s=REACHED_S)


@contextmanager
def hold(stack: Stack, key: int, event: str, when: str = "true") -> Iterator[Hold]:
    """In the block, statements that cause ``event`` wait (``BEFORE INSERT ON app.runs``).

    They go on when the block ends. ``when`` is an SQL condition over NEW and tables. ``key`` is
    unique for the hold in its database.
    """
    admin = stack.admin
    try:
        with ExitStack() as lock:
            lock.enter_context(admin.holding(key))
            admin.execute(PLANT.format(key=key, event=event, when=when))
            yield Hold(admin, key, lock.close)
    finally:
        admin.execute(REMOVE.format(key=key))


def hold_answers(stack: Stack, run_id: str) -> AbstractContextManager[Hold]:
    """Answers to gates of the run wait right before they are accepted."""
    accepted = f"NEW.run_id = '{run_id}' AND NEW.state = 'RECEIVED'"
    return hold(stack, ANSWERS, "BEFORE UPDATE OF state ON app.human_gates", accepted)


def hold_start(stack: Stack, wid: str) -> AbstractContextManager[Hold]:
    """Starts of that workflow id wait right before the first is made."""
    return hold(stack, STARTS, "BEFORE INSERT ON app.intents", f"NEW.id = '{wid}'")


def hold_ends(stack: Stack, run_id: str, key: int, *words: str) -> AbstractContextManager[Hold]:
    """A statement that gives the run one of ``words`` as its last status waits."""
    ends = ", ".join(f"'{word}'" for word in words)
    last = f"NEW.id = '{run_id}' AND NEW.status IN ({ends})"
    return hold(stack, key, "BEFORE UPDATE OF status ON app.runs", last)


def meet(
    place: Hold, asks: Sequence[Callable[[], Reply]], *, led_by: int, behind: int = 0
) -> Meeting:
    """Let the first ``led_by`` of ``asks`` wait in the database, in order; then send all others.

    The first waits at ``place``, and each next one for a lock of an earlier one: they meet, and the
    first decides. If ``behind`` statements of the engine wait already, these decide instead. They
    go on at the end of the hold.
    """
    pool = ThreadPoolExecutor(len(asks))
    first: list[Future[Reply]] = []
    for number, ask in enumerate(asks[:led_by], behind + 1):
        first.append(pool.submit(ask))
        place.await_statements(1)
        place.await_blocked(number)
    rest = [pool.submit(ask) for ask in asks[led_by:]]
    pool.shutdown(wait=False)
    return Meeting([*first, *rest])


@dataclass(frozen=True)
class Meeting:
    """Requests that meet in the database and are not answered yet."""

    asked: Sequence[Future[Reply]]

    def replies(self) -> list[Reply]:
        """The replies in the order of the requests."""
        return [each.result(GIVE_UP_S) for each in self.asked]
