"""Threads that serve queues sleep until there is work, and are not woken for nothing."""

from __future__ import annotations

import queue
import threading
from collections.abc import Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import psycopg
import pytest

from engine.background.queue_polling import BELIEVED_S, QueuePolling, remember
from pytest_spec11.waiting import eventually

PAUSES_S = {"runs": 0.04, "tasks": 0.04}
SOON_S = 20


class Database:
    """The queues that have work, how often somebody looked, and the time."""

    def __init__(self, *waiting: str) -> None:
        self.waiting = frozenset(waiting)
        self.looks = 0
        self.away = False
        self.now_s = 100.0
        self.clock_reads = 0
        self.signals: queue.Queue[None] = queue.Queue()
        self.waits = 0

    def read_clock(self) -> float:
        """The time that the test has set."""
        self.clock_reads += 1
        return self.now_s

    def find_waiting(self, names: Collection[str]) -> frozenset[str]:
        """What has work, unless the database is away."""
        self.looks += 1
        if self.away:
            raise psycopg.OperationalError
        return self.waiting & {*names}

    def wait_for_signal(self, timeout_s: float) -> None:
        """Nobody looks by himself here: a test that needs no signal would wait for ever."""
        assert timeout_s > 0
        self.waits += 1
        self.signals.get()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def polling(database: Database) -> QueuePolling:
    return QueuePolling(PAUSES_S, database, database.read_clock)


def fall_asleep(
    threads: ThreadPoolExecutor, database: Database, turns: QueuePolling
) -> Future[bool]:
    """A thread waits for its turn at ``runs``: it read the clock twice, and let go of the lock."""
    database.clock_reads = 0
    waiting = threads.submit(turns.wait_until_due, "runs")
    eventually(lambda: database.clock_reads >= 2, deadline_s=SOON_S)
    found, database.waiting = database.waiting, frozenset()
    turns.look()  # takes the lock
    database.waiting = found
    return waiting


def test_one_look_wakes_who_serves_a_queue_with_work(threads: ThreadPoolExecutor) -> None:
    database = Database("runs")
    turns = polling(database)
    waiting = {name: threads.submit(turns.wait_until_due, name) for name in PAUSES_S}
    turns.look()

    assert waiting["runs"].result(SOON_S)
    assert not waiting["tasks"].done()
    assert database.looks == 1
    database.waiting = frozenset({"tasks"})
    turns.look()
    assert waiting["tasks"].result(SOON_S)


def test_a_turn_uses_up_what_the_look_found(threads: ThreadPoolExecutor) -> None:
    database = Database("runs")
    turns = polling(database)
    turns.look()
    assert turns.wait_until_due("runs")
    database.now_s += 10 * PAUSES_S["runs"]

    again = fall_asleep(threads, database, turns)
    assert not again.done()
    turns.look()
    assert again.result(SOON_S)


def test_between_two_turns_of_a_queue_there_is_its_pause() -> None:
    database, turned = Database("runs"), 0
    turns = polling(database)
    turns.look()
    began = database.now_s
    while database.now_s < began + 1:
        before = database.now_s
        turns.look()
        advance_while_waiting(database, turns)
        turned += 1
        assert database.now_s >= before

    assert turned == pytest.approx(1 / PAUSES_S["runs"], abs=1)


def advance_while_waiting(database: Database, turns: QueuePolling) -> None:
    """A turn is taken; the clock goes on while it is waited for."""
    done = threading.Event()

    def take() -> None:
        assert turns.wait_until_due("runs")
        done.set()

    thread = threading.Thread(target=take)
    thread.start()
    while not done.is_set():
        database.now_s += 0.001
        turns.look()
        done.wait(0.002)
    thread.join()


def test_after_a_long_wait_the_settings_have_to_be_learned_anew(
    threads: ThreadPoolExecutor,
) -> None:
    database = Database()
    turns = polling(database)
    first = fall_asleep(threads, database, turns)
    database.now_s += 2 * BELIEVED_S
    database.waiting = frozenset({"runs"})
    turns.look()

    assert not first.result(SOON_S)
    assert turns.wait_until_due("runs")


def test_a_queue_that_it_does_not_know_is_always_due() -> None:
    database = Database()

    assert polling(database).wait_until_due("another")
    assert database.looks == 0


def test_it_looks_when_told_and_after_the_database_was_away(threads: ThreadPoolExecutor) -> None:
    database = Database()
    database.away = True
    turns = polling(database)
    waiting = threads.submit(turns.wait_until_due, "runs")
    turns.start()
    eventually(lambda: database.looks, deadline_s=SOON_S, until=lambda looks: looks >= 2)
    database.away = False
    database.now_s += 10  # the time is over in which it looks untold
    eventually(lambda: database.waits == 1, deadline_s=SOON_S)
    looks = database.looks
    assert not waiting.done()

    database.waiting = frozenset({"runs"})
    assert database.looks == looks
    database.signals.put(None)
    waiting.result(SOON_S)
    assert database.looks > looks


def test_an_answer_is_remembered_by_its_words() -> None:
    asked: list[str] = []

    def ask(name: str, *, of: str = "") -> str:
        asked.append(name + of)
        return name

    answer = remember(ask, for_s=3600)
    for _ in range(3):
        assert (answer("a"), answer("a", of="x"), answer("b")) == ("a", "a", "b")
    assert asked == ["a", "ax", "b"]

    forgetful = remember(ask, for_s=0)
    assert (forgetful("c"), forgetful("c")) == ("c", "c")
    assert asked[3:] == ["c", "c"]
