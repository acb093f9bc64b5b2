from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import Any

import pytest

from tests.engine.shim_process import Shim, running_shim

ESCALATION = """
INSERT INTO dbos.workflow_status (workflow_uuid, status, name)
VALUES ('esc:' || %s || ':' || %s, 'SUCCESS', 'EscalateTimeout')
"""


@pytest.fixture(scope="module")
def desk(clone: Callable[[], str]) -> Iterator[Shim]:
    """An api-shim whose inbox is this module's alone."""
    with running_shim(clone()) as running:
        yield running


@pytest.fixture(autouse=True)
def _empty(desk: Shim) -> None:
    desk.run("UPDATE app.human_gates SET state = 'RESOLVED'")


def inbox(desk: Shim, limit: int = 200) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = desk.http.get("/api/hitl/inbox", params={"limit": limit}).json()
    return rows


def test_a_row_says_what_waits_and_how_urgently(desk: Shim) -> None:
    wid, gate = desk.park_run("row")

    [row] = inbox(desk)

    view = desk.http.get(f"/api/runs/{wid}/gates/{gate}").json()
    assert row == {
        "workflowID": wid,
        "gateKey": gate,
        "topic": f"human:{gate}",
        "deadline": view["deadlineAt"],
        "slaStatus": "NORMAL",
        "escalationWorkflowID": None,
        "mismatchRisk": False,
        "createdAt": view["createdAt"],
    }


@pytest.mark.parametrize(
    ("left_s", "word"),
    [(-5, "CRITICAL"), (0, "CRITICAL"), (30, "WARNING"), (60, "WARNING"), (90, "NORMAL")],
)
def test_the_word_follows_the_deadline(desk: Shim, left_s: int, word: str) -> None:
    desk.park_run(f"sla {left_s}")
    desk.run(
        "UPDATE app.human_gates SET deadline_at = now() + make_interval(secs => %s)"
        " WHERE state = 'PENDING'",
        left_s,
    )

    assert [row["slaStatus"] for row in inbox(desk)] == [word]


def test_answered_closed_and_ended_gates_are_gone_at_the_next_read(desk: Shim) -> None:
    answered, closed, ended, waiting = (desk.park_run(f"gone {number}") for number in range(4))
    reply = {"payload": {"choice": "yes"}, "dedupeKey": "k", "origin": "manual"}

    desk.http.post(f"/api/runs/{answered[0]}/gates/{answered[1]}/reply", json=reply)
    desk.run("UPDATE app.human_gates SET state = 'TIMED_OUT' WHERE workflow_id = %s", closed[0])
    desk.run("UPDATE app.runs SET status = 'canceled' WHERE workflow_id = %s", ended[0])

    assert [row["workflowID"] for row in inbox(desk)] == [waiting[0]]


def test_the_order_is_deadline_creation_workflow_and_the_limit_keeps_the_most_urgent(
    desk: Shim,
) -> None:
    for number in range(6):
        wid, _ = desk.park_run(f"order {number}", ttl_s=600)
        desk.run(
            "UPDATE app.human_gates SET deadline_at = '2099-01-01'::timestamptz + %s * interval"
            " '1 s', created_at = '2020-01-01'::timestamptz + %s * interval '1 s'"
            " WHERE workflow_id = %s",
            number // 4,
            -(number // 2),
            wid,
        )

    rows = inbox(desk)

    keys = itemgetter("deadline", "createdAt", "workflowID")
    assert rows == sorted(rows, key=keys)
    assert len({keys(row) for row in rows}) == 6
    assert len({row["createdAt"] for row in rows}) == 3
    assert inbox(desk, limit=2) == rows[:2]
    assert [row["workflowID"] for row in desk.http.get("/api/hitl/inbox").json()] == [
        row["workflowID"] for row in rows
    ]


def test_an_escalation_and_a_mismatch_are_shown_when_they_are_there(desk: Shim) -> None:
    wid, gate = desk.park_run("planted")
    desk.run(ESCALATION, wid, gate)
    desk.run("UPDATE app.human_gates SET topic = 'human:else' WHERE workflow_id = %s", wid)

    [row] = inbox(desk)

    assert row["escalationWorkflowID"] == f"esc:{wid}:{gate}"
    assert (row["mismatchRisk"], row["topic"]) == (True, "human:else")


def test_two_reads_of_what_does_not_change_are_the_same_bytes(desk: Shim) -> None:
    desk.park_run("still")

    reads = {desk.http.get("/api/hitl/inbox").content for _ in range(2)}

    assert len(reads) == 1


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "limit=1&limit=2", "more=1"])
def test_a_query_out_of_bounds_is_400(desk: Shim, query: str) -> None:
    assert desk.http.get(f"/api/hitl/inbox?{query}").status_code == 400
