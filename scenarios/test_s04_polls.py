"""S04: who waits for a gate waits as long as asked, no longer than needed, and costs nothing."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial

import pytest

from pytest_spec11.oracles.http import Reply
from pytest_spec11.stacks import Stack
from pytest_spec11.waiting import GIVE_UP_S, Stopwatch, eventually
from scenarios.support.contract.events import ACCEPTED
from scenarios.support.crowds.concurrent_requests import at_once
from scenarios.support.crowds.long_polls import polling
from scenarios.support.faults.zero_writes import freeze_worker
from scenarios.support.runs.gates import Gate, await_end, waiting

pytestmark = pytest.mark.S04

POLLS = 500
OPEN_S = 10.0
READ_S = 60.0  # of hundreds of answers, one after the other
MOST_THREADS = 50
ASKERS = 16  # twice as many as the api-shim has sessions to lend
IDLE_S = 2.0
MOST_IDLE = 100.0  # a second: nothing moves, and only we look
MOST_COMMITS = 20.0  # a second, above the idle rate
COMMITS = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
NOW = "SELECT clock_timestamp() AS now"
LOOKED = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'spec11-api'
  AND state = 'idle' AND query_start > %(since)s AND query LIKE '%%human_gates%%'
"""
# A session adds what it did to the counter when it ends a transaction, at most once a second, and
# when it has done nothing for 10 s. So what the polls cost as they opened is counted once no
# session's last statement is from that time.
UNCOUNTED = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'spec11-api'
  AND query_start BETWEEN %(since)s AND %(until)s::timestamptz + interval '1 s'
  AND query_start > clock_timestamp() - interval '11 s'
"""


def poll_gate(stack: Stack, gate: Gate, timeout_s: int) -> Reply:
    """The answer to one poll."""
    return stack.api.get(f"{gate.url}?timeoutS={timeout_s}")


@pytest.mark.claim("S04.long-poll-bounds")
def test_a_poll_waits_as_long_as_it_asked(lab: Stack, unique_goal: str) -> None:
    gate = waiting(lab.api, unique_goal)

    at_once, later = poll_gate(lab, gate, 0), poll_gate(lab, gate, 3)
    assert gate.choose(lab.api).json() == ACCEPTED
    await_end(lab.api, lab.sys_sql, gate.wid)
    resolved = poll_gate(lab, gate, 30)

    assert [each.json()["state"] for each in (at_once, later)] == ["PENDING", "PENDING"]
    assert at_once.own_s < 0.5
    assert later.elapsed_s >= 2.9
    assert later.own_s <= 4.0
    assert resolved.json()["state"] == gate.read_rows(lab.app_sql)["state"] == "RESOLVED"
    assert resolved.own_s < 0.5


@pytest.mark.claim("S04.long-poll-bounds")
def test_an_answer_ends_the_poll_that_waits_for_it(lab: Stack, unique_goal: str) -> None:
    gate = waiting(lab.api, unique_goal)

    with ThreadPoolExecutor(1) as pool:
        (since,) = lab.admin.execute(NOW)
        waits = pool.submit(poll_gate, lab, gate, 30)
        eventually(lambda: lab.admin.execute(LOOKED, since=since["now"]), deadline_s=10, until=bool)
        assert not waits.done()
        told = Stopwatch()
        assert gate.choose(lab.api).json() == ACCEPTED
        answer = waits.result(GIVE_UP_S)
        after_s = told.own_s

    assert answer.json()["result"]["payload"] == {"choice": "yes"}
    assert answer.json()["state"] in {"RECEIVED", "RESOLVED"}
    assert after_s < 1


@pytest.mark.claim("S04.long-poll-scale")
def test_five_hundred_polls_cost_neither_threads_nor_queries(lab: Stack, unique_goal: str) -> None:
    gates = [waiting(lab.api, f"{unique_goal} {number}") for number in range(2)]
    paths = [f"{gate.url}?timeoutS=30" for gate in gates] * (POLLS // 2)

    with freeze_worker(lab):
        idle = commits_a_second(lab, gates[0], IDLE_S)
        (opening,) = lab.admin.execute(NOW)
        with polling(lab.api.base_url, paths) as polls:
            await_opened(lab, gates[0], opening["now"])
            rate = commits_a_second(lab, gates[0], OPEN_S)
            threads = lab.proc.threads("api")
            assert (polls.collect_answers(0, most=POLLS), polls.waiting) == ([], POLLS)

            for gate, door in zip(gates, (lab.api, lab.api_at("twin")), strict=True):
                told = Stopwatch()
                assert gate.choose(door).json() == ACCEPTED
                gone = polls.collect_answers(READ_S, most=POLLS // 2)
                after_s = told.own_s
                assert {(each.path, each.status) for each in gone} == {
                    (f"{gate.url}?timeoutS=30", 200)
                }
                assert {each.body["state"] for each in gone} == {"RECEIVED"}
                assert len(gone) == POLLS // 2
                assert after_s < 1

    assert threads <= MOST_THREADS
    assert max(idle) <= MOST_IDLE
    above = [busy - quiet for busy, quiet in zip(rate, idle, strict=True)]
    assert max(above) <= MOST_COMMITS
    assert {await_end(lab.api, lab.sys_sql, gate.wid)["status"] for gate in gates} == {"SUCCESS"}


def await_opened(stack: Stack, gate: Gate, since: datetime) -> None:
    """Return when every poll waits, and the counter of commits holds what it cost to begin.

    The api-shim accepts in order, and lends its sessions in order: what is asked now is answered
    after all polls have looked. It lends the session that came back last, so a crowd asks: then
    every session has a transaction soon.
    """
    crowd = [partial(stack.api.get, f"/api/runs/{gate.wid}")] * ASKERS

    def ask() -> None:
        assert {each.status for each in at_once(crowd)} == {200}

    ask()
    (opened,) = stack.admin.execute(NOW)

    def is_counted() -> bool:
        ask()
        return stack.admin.execute(UNCOUNTED, since=since, until=opened["now"]) == []

    eventually(is_counted, deadline_s=15, every_s=0.1)


def commits_a_second(stack: Stack, gate: Gate, lasts_s: float) -> list[float]:
    """How often each schema's database committed; meanwhile another route has to go on."""
    began, before = time.monotonic(), count_commits(stack)
    others: list[Reply] = []

    def over() -> bool:
        others.append(stack.api.get(f"/api/runs/{gate.wid}"))
        return time.monotonic() - began >= lasts_s

    eventually(over, deadline_s=lasts_s + 5, every_s=0.5)
    took_s = time.monotonic() - began
    assert {each.status for each in others} == {200}
    assert max(each.own_s for each in others) < 1
    return [
        (late - early) / took_s for late, early in zip(count_commits(stack), before, strict=True)
    ]


def count_commits(stack: Stack) -> list[int]:
    """The transactions that each schema's database committed in its life."""
    return [sql.value(COMMITS) for sql in (stack.app_sql, stack.sys_sql)]
