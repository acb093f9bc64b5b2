from __future__ import annotations

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor

import psutil

from pytest_spec11.waiting import GIVE_UP_S, Stopwatch, eventually
from tests.engine.shim_process import Shim

ANSWER = {"payload": {"choice": "yes"}, "dedupeKey": "k", "origin": "manual"}
POLLS = 500
LISTENERS = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND query = 'LISTEN spec11_gates'
"""
ASKING = """
SELECT query FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend'
      AND pid <> pg_backend_pid() AND query_start > %s
"""


def poll(shim: Shim, wid: str, gate: str, timeout_s: int) -> tuple[str, float]:
    """The state that a poll ends with, and how many seconds of its own it took."""
    began = Stopwatch()
    answer = shim.http.get(f"/api/runs/{wid}/gates/{gate}", params={"timeoutS": timeout_s})
    return answer.json()["state"], began.own_s


def test_a_poll_waits_as_long_as_asked_and_no_longer(shim: Shim) -> None:
    wid, gate = shim.park_run("bounds")

    at_once, asked = poll(shim, wid, gate, 0), time.monotonic()
    later = poll(shim, wid, gate, 1)
    lasted_s = time.monotonic() - asked
    shim.run("UPDATE app.human_gates SET state = 'RESOLVED' WHERE workflow_id = %s", wid)
    resolved = poll(shim, wid, gate, 30)

    assert (at_once[0], later[0], resolved[0]) == ("PENDING", "PENDING", "RESOLVED")
    assert at_once[1] < 0.5
    assert lasted_s > 0.9
    assert later[1] < 2
    assert resolved[1] < 0.5


def test_a_reply_ends_the_poll_for_its_gate(shim: Shim) -> None:
    wid, gate = shim.park_run("ended")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(poll, shim, wid, gate, 30)
        eventually(lambda: shim.rows(LISTENERS) or None, deadline_s=5)
        answered = Stopwatch()
        shim.http.post(f"/api/runs/{wid}/gates/{gate}/reply", json=ANSWER)

        state, _ = waiting.result(GIVE_UP_S)

    assert (state, answered.own_s < 2) == ("RECEIVED", True)


def test_a_lost_listener_wakes_the_polls_and_is_replaced(own_shim: Shim) -> None:
    wid, gate = own_shim.park_run("lost")
    [listener] = eventually(lambda: own_shim.rows(LISTENERS) or None, deadline_s=5)

    def has_new_listener() -> bool:
        found = own_shim.rows(LISTENERS)
        return bool(found) and found != [listener]

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(poll, own_shim, wid, gate, 30)
        own_shim.run("SELECT pg_terminate_backend(%s)", listener["pid"])
        eventually(has_new_listener, deadline_s=5)
        own_shim.http.post(f"/api/runs/{wid}/gates/{gate}/reply", json=ANSWER)

        state, _ = waiting.result(GIVE_UP_S)

    assert state == "RECEIVED"


async def raw_poll(port: int, wid: str, gate: str) -> bytes:
    """The body of a poll of 30 seconds, over a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    path = f"/api/runs/{wid}/gates/{gate}?timeoutS=30"
    writer.write(f"GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer.partition(b"\r\n\r\n")[2]


def test_five_hundred_polls_cost_no_thread_and_no_query(own_shim: Shim, shim: Shim) -> None:
    parked = [own_shim.park_run(f"scale {number}") for number in range(4)]
    elsewhere = shim.park_run("clock")
    process = psutil.Process(own_shim.process.pid)
    threads = process.num_threads()

    def all_open() -> bool:
        held = process.net_connections("tcp")
        return sum(line.status == psutil.CONN_ESTABLISHED for line in held) >= POLLS

    async def crowd() -> list[bytes]:
        port = own_shim.http.base_url.port or 0
        polls = [
            asyncio.create_task(raw_poll(port, *parked[number % len(parked)]))
            for number in range(POLLS)
        ]
        await asyncio.to_thread(eventually, all_open, deadline_s=15)
        await asyncio.to_thread(poll, shim, *elsewhere, 1)  # what opening them asks is asked by now
        [began] = own_shim.rows("SELECT clock_timestamp() AS at")
        asked = time.monotonic()
        await asyncio.to_thread(poll, shim, *elsewhere, 1)
        assert (own_shim.rows(ASKING, began["at"]), time.monotonic() - asked > 0.9) == ([], True)
        assert process.num_threads() - threads <= 8
        for wid, gate in parked:
            path = f"/api/runs/{wid}/gates/{gate}/reply"
            assert (await asyncio.to_thread(own_shim.http.post, path, json=ANSWER)).is_success
        assert own_shim.rows(ASKING, began["at"]) != []
        answered = Stopwatch()
        answers = await asyncio.gather(*polls)
        assert answered.own_s < 2
        return answers

    states = [json.loads(answer)["state"] for answer in asyncio.run(crowd())]
    assert states == ["RECEIVED"] * POLLS


def test_the_end_of_the_process_lets_polls_go(own_shim: Shim) -> None:
    wid, gate = own_shim.park_run("goodbye")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(poll, own_shim, wid, gate, 30)
        eventually(lambda: own_shim.rows(LISTENERS) or None, deadline_s=5)
        process = psutil.Process(own_shim.process.pid)
        eventually(lambda: len(process.net_connections("tcp")) > 1, deadline_s=5)
        began = Stopwatch()
        own_shim.process.terminate()
        code = own_shim.process.wait(GIVE_UP_S)

        state, _ = waiting.result(GIVE_UP_S)

    assert (code, state) == (0, "PENDING")
    assert began.own_s < 4


def test_the_status_stream_ends_with_its_last_word(shim: Shim) -> None:
    wid = shim.start("stream").json()["workflowID"]
    for word in ("running", "waiting_input", "running", "succeeded"):
        shim.run("UPDATE app.runs SET status = %s WHERE workflow_id = %s", word, wid)

    answer = shim.http.get(f"/api/runs/{wid}/stream/status")

    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.text == '"running"\n"waiting_input"\n"running"\n"succeeded"\n'
