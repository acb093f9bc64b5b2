from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psycopg
import pytest

from pytest_spec11.waiting import GIVE_UP_S, eventually
from tests.engine.shim_process import Shim

YES = "b84d24ba8de9f13caa5ac3863ee331d23754bdf6b3f92a11fb52848bc1449487"


def answer(
    shim: Shim, wid: str, gate: str, payload: object = None, **more: object
) -> httpx.Response:
    body = {"payload": payload or {"choice": "yes"}, "dedupeKey": "k1", "origin": "manual", **more}
    return shim.http.post(f"/api/runs/{wid}/gates/{gate}/reply", json=body)


def test_a_pending_gate_shows_its_prompt_and_no_result(shim: Shim) -> None:
    wid, gate = shim.park_run("view", ttl_s=60)

    [listed] = shim.http.get(f"/api/runs/{wid}/gates").json()
    one = shim.http.get(f"/api/runs/{wid}/gates/{gate}").json()

    assert listed == one
    assert (one["workflowID"], one["topic"]) == (wid, f"human:{gate}")
    assert (one["state"], one["result"], one["origin"]) == ("PENDING", None, None)
    assert one["prompt"]["ttlS"] == 60
    assert one["deadlineAt"] - one["createdAt"] == 60_000


def test_an_answer_is_ledger_gate_and_message_at_once(shim: Shim) -> None:
    wid, gate = shim.park_run("answered")

    given = answer(shim, wid, gate)

    assert (given.status_code, given.json()) == (200, {"ok": True, "isReplay": False})
    [row] = shim.rows("SELECT * FROM app.human_interactions WHERE workflow_id = %s", wid)
    assert (row["payload_hash"], row["origin"], row["dedupe_key"]) == (YES, "manual", "k1")
    [sent] = shim.rows("SELECT * FROM dbos.notifications WHERE destination_uuid = %s", wid)
    assert (sent["topic"], json.loads(sent["message"])) == (f"human:{gate}", {"choice": "yes"})
    view = shim.http.get(f"/api/runs/{wid}/gates/{gate}").json()
    assert (view["state"], view["payloadHash"], view["origin"]) == ("RECEIVED", YES, "manual")
    assert view["result"]["payload"] == {"choice": "yes"}
    [listed] = shim.http.get(f"/api/runs/{wid}/interactions").json()
    assert (listed["gateKey"], listed["payloadHash"]) == (gate, YES)


@pytest.mark.parametrize(
    "end", ["waiting_input", "running", "succeeded", "failed", "retries_exceeded", "canceled"]
)
def test_a_duplicate_is_a_replay_for_ever(shim: Shim, end: str) -> None:
    wid, gate = shim.park_run(f"for ever {end}")
    answer(shim, wid, gate)
    shim.run("UPDATE app.runs SET status = %s WHERE workflow_id = %s", end, wid)
    before = shim.digest()

    again = answer(shim, wid, gate, origin="webhook")

    assert (again.status_code, again.json()) == (200, {"ok": True, "isReplay": True})
    assert shim.digest() == before


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"payload": {"choice": "no"}}, "dedupe_conflict"),
        ({"dedupeKey": "k2"}, "gate_already_answered"),
        ({"dedupeKey": "k2", "payload": {"choice": "no"}}, "gate_already_answered"),
    ],
)
def test_any_other_answer_after_the_first_is_409(
    shim: Shim, more: dict[str, Any], code: str
) -> None:
    wid, gate = shim.park_run(f"second {more}")
    answer(shim, wid, gate)
    before = shim.digest()

    refused = answer(shim, wid, gate, **more)

    assert (refused.status_code, refused.json()["code"]) == (409, code)
    assert shim.digest() == before


@pytest.mark.parametrize(
    ("more", "pointer"),
    [
        ({"payload": {"choice": "maybe"}}, "/payload"),
        ({"payload": {"approved": "yes"}}, "/payload"),
        ({"payload": []}, "/payload"),
        ({"dedupeKey": ""}, "/dedupeKey"),
        ({"dedupeKey": "k" * 257}, "/dedupeKey"),
        ({"origin": None}, "/origin"),
        ({"origin": "legacy"}, "/origin"),
        ({"more": 1}, "/more"),
    ],
)
def test_an_answer_that_is_not_understood_is_400_and_the_gate_stays_open(
    shim: Shim, more: dict[str, Any], pointer: str
) -> None:
    wid, gate = shim.park_run(f"odd {pointer} {more}")
    before = shim.digest()

    body = {"payload": {"choice": "yes"}, "dedupeKey": "k1", "origin": "manual", **more}
    refused = shim.http.post(f"/api/runs/{wid}/gates/{gate}/reply", json=body)

    assert refused.status_code == 400
    assert [item["pointer"] for item in refused.json()["details"]] == [pointer]
    assert shim.digest() == before


def test_the_wrong_door_is_404(shim: Shim) -> None:
    wid, gate = shim.park_run("door")
    other = shim.start("another door").json()["workflowID"]

    found = [answer(shim, run, key) for run, key in (("ih_x", gate), (wid, "nope"), (other, gate))]

    assert [reply.status_code for reply in found] == [404, 404, 404]
    assert [reply.json()["error"] for reply in found] == [
        "run not found",
        "gate not found",
        "gate not found",
    ]


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("UPDATE app.runs SET status = 'canceled' WHERE workflow_id = %s", "canceled"),
        ("UPDATE app.human_gates SET state = 'TIMED_OUT' WHERE workflow_id = %s", "TIMED_OUT"),
        (
            "UPDATE app.human_gates SET deadline_at = now() WHERE workflow_id = %s",
            "TIMED_OUT",
        ),
    ],
)
def test_a_late_answer_is_409_and_writes_nothing(shim: Shim, statement: str, error: str) -> None:
    wid, gate = shim.park_run(f"late {statement}")
    shim.run(statement, wid)
    before = shim.digest()

    refused = answer(shim, wid, gate)

    assert (refused.status_code, refused.json()["code"]) == (409, "run_not_waiting")
    assert refused.json()["error"] == f"run not waiting for input: {error}"
    assert shim.digest() == before


def test_of_twenty_identical_answers_one_is_the_first(shim: Shim) -> None:
    wid, gate = shim.park_run("identical")

    with ThreadPoolExecutor(20) as pool:
        seen = list(pool.map(lambda _: answer(shim, wid, gate), range(20)))

    assert {reply.status_code for reply in seen} == {200}
    assert sorted(reply.json()["isReplay"] for reply in seen) == [False] + [True] * 19


def test_of_contradicting_answers_one_is_accepted(shim: Shim) -> None:
    wid, gate = shim.park_run("contradiction")

    def one(number: int) -> httpx.Response:
        choice = {"choice": "yes" if number % 2 else "no"}
        return answer(shim, wid, gate, choice, dedupeKey=f"k{number}")

    with ThreadPoolExecutor(20) as pool:
        seen = list(pool.map(one, range(20)))

    refused = [reply.json()["code"] for reply in seen if reply.status_code == 409]
    assert refused == ["gate_already_answered"] * 19
    assert len(shim.rows("SELECT 1 FROM dbos.notifications WHERE destination_uuid = %s", wid)) == 1


def test_one_key_may_answer_two_gates(shim: Shim) -> None:
    parked = [shim.park_run(f"two gates {number}") for number in range(2)]

    seen = [answer(shim, wid, gate).json() for wid, gate in parked]

    assert seen == [{"ok": True, "isReplay": False}] * 2
    assert (
        len(
            shim.rows(
                "SELECT 1 FROM dbos.notifications WHERE message_uuid IN (SELECT id::text "
                "FROM app.human_interactions WHERE workflow_id = ANY(%s))",
                [wid for wid, _ in parked],
            )
        )
        == 2
    )


def test_a_message_that_cannot_be_sent_takes_its_ledger_row_with_it(own_shim: Shim) -> None:
    wid, gate = own_shim.park_run("stranded")
    own_shim.run("ALTER FUNCTION dbos.send_message RENAME TO hidden")
    before = own_shim.digest()

    broken = answer(own_shim, wid, gate)
    after = own_shim.digest()
    own_shim.run("ALTER FUNCTION dbos.hidden RENAME TO send_message")

    assert (broken.status_code, after == before) == (500, True)
    assert answer(own_shim, wid, gate).json() == {"ok": True, "isReplay": False}


TOLD_AGAIN = """
INSERT INTO app.human_interactions
    (run_id, workflow_id, gate_key, topic, dedupe_key, payload_hash, payload, origin)
SELECT {run_id}, {workflow_id}, gate_key, topic, 'k2', payload_hash, payload, {origin}
FROM app.human_interactions WHERE workflow_id = %s
"""


@pytest.mark.parametrize(
    ("more", "refused_by"),
    [
        ({}, "human_interactions_one_answer"),
        ({"workflow_id": "run_id"}, "human_interactions_one_answer"),
        ({"run_id": "NULL"}, "human_interactions_run_check"),
        ({"origin": "NULL"}, "human_interactions_origin_check"),
    ],
)
def test_the_database_refuses_a_second_answer_by_a_named_law(
    shim: Shim, more: dict[str, str], refused_by: str
) -> None:
    wid, gate = shim.park_run(f"law {more}")
    answer(shim, wid, gate)
    columns = {"run_id": "run_id", "workflow_id": "workflow_id", "origin": "origin", **more}

    with pytest.raises(psycopg.errors.IntegrityError) as refused:
        shim.run(TOLD_AGAIN.format(**columns), wid)

    assert refused.value.diag.constraint_name == refused_by


WAITS = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'spec11-api' AND wait_event_type = 'Lock'
"""
RUN_FIRST = "SELECT FROM app.runs WHERE workflow_id = %s FOR UPDATE"
THEN_GATE = "SELECT state FROM app.human_gates WHERE workflow_id = %s FOR UPDATE NOWAIT"


def test_an_answer_waits_for_whoever_holds_the_run_and_holds_nothing(shim: Shim) -> None:
    wid, gate = shim.park_run("in a circle")

    with psycopg.connect(shim.dsn) as other, ThreadPoolExecutor(1) as pool:
        other.execute(RUN_FIRST, (wid,))
        given = pool.submit(answer, shim, wid, gate)
        eventually(lambda: shim.rows(WAITS) or None, deadline_s=5)
        state = other.execute(THEN_GATE, (wid,)).fetchone()
        other.execute("UPDATE app.runs SET status = 'canceled' WHERE workflow_id = %s", (wid,))
        other.commit()

        refused = given.result(GIVE_UP_S)

    assert state == ("PENDING",)
    assert (refused.status_code, refused.json()["code"]) == (409, "run_not_waiting")
