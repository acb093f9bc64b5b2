from __future__ import annotations

from collections.abc import Collection

import psycopg
import pytest

from engine.background.queue_polling import AWAY_S, LOOK_S, Lookout

PAUSES_S = {"runs": 0.04, "tasks": 0.04}


class Postgres:
    """The queues that have work, how often somebody looked, and the time."""

    def __init__(self, *waiting: str) -> None:
        self.waiting = frozenset(waiting)
        self.looks = 0
        self.away = False
        self.now_s = 100.0

    def work(self, names: Collection[str]) -> frozenset[str]:
        self.looks += 1
        if self.away:
            raise psycopg.OperationalError
        return self.waiting & {*names}


def lookout(postgres: Postgres) -> Lookout:
    return Lookout(PAUSES_S, postgres.work, lambda: postgres.now_s)


def test_one_look_serves_all_who_ask_at_that_time() -> None:
    postgres = Postgres("runs")
    found = lookout(postgres)

    assert [found.due(each) for each in ("tasks", "runs", "tasks", "tasks")] == [
        False, True, False, False
    ]  # fmt: skip
    assert postgres.looks == 1
    postgres.waiting = frozenset({"tasks"})
    assert not found.due("tasks")
    postgres.now_s += LOOK_S
    assert found.due("tasks")
    assert postgres.looks == 2


def test_a_queue_with_work_is_asked_once_in_its_pause() -> None:
    postgres = Postgres("runs")
    found = lookout(postgres)
    asked = 0

    for _ in range(1000):
        asked += found.due("runs")
        postgres.now_s += 0.001

    assert asked == pytest.approx(1000 * 0.001 / PAUSES_S["runs"], abs=1)


def test_a_queue_that_it_does_not_know_is_always_due() -> None:
    postgres = Postgres()

    assert lookout(postgres).due("another")
    assert postgres.looks == 0


def test_while_the_database_is_away_nothing_is_due_and_it_is_asked_now_and_then() -> None:
    postgres = Postgres("runs")
    postgres.away = True
    found = lookout(postgres)

    assert not found.due("runs")
    postgres.away = False
    assert not found.due("runs")
    assert postgres.looks == 1
    postgres.now_s += AWAY_S
    assert found.due("runs")
