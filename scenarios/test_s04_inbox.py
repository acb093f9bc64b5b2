"""S04: the inbox is the open gates, no more and no fewer, the most urgent first."""

from __future__ import annotations

from operator import itemgetter
from typing import Any

import pytest

from pytest_spec11.fixtures import Provokes
from pytest_spec11.oracles.sql import Sql
from pytest_spec11.stacks import Stack
from pytest_spec11.waiting import eventually
from scenarios.support.contract import recipes
from scenarios.support.contract.start_requests import reply, start
from scenarios.support.faults.zero_writes import freeze_worker
from scenarios.support.runs.run_lifecycle import END_S, PARK_S, answer_run, await_status, park_run

pytestmark = pytest.mark.S04
INBOX = "/api/hitl/inbox?limit=200"
OPEN = """
SELECT r.workflow_id AS "workflowID", g.gate_key AS "gateKey", g.topic,
       floor(extract(epoch FROM g.deadline_at) * 1000)::bigint AS deadline,
       floor(extract(epoch FROM g.created_at) * 1000)::bigint AS "createdAt"
FROM app.human_gates g JOIN app.runs r ON r.id = g.run_id
WHERE g.state = 'PENDING' AND r.status = 'waiting_input'
ORDER BY g.deadline_at, g.created_at, r.workflow_id
"""
DUE_IN = """
UPDATE app.human_gates SET deadline_at = clock_timestamp() + make_interval(secs => %(s)s)
WHERE workflow_id = %(w)s AND state = 'PENDING' RETURNING state
"""
ESCALATED = """
INSERT INTO dbos.workflow_status (workflow_uuid, status, name)
VALUES ('esc:' || %(w)s || ':' || %(g)s, 'PENDING', 'EscalateTimeout')
"""
THERE = "SELECT workflow_uuid FROM dbos.workflow_status WHERE workflow_uuid LIKE 'esc:%%'"


def inbox(stack: Stack) -> list[dict[str, Any]]:
    """Every row of the inbox."""
    answer = stack.api.get(INBOX)
    assert answer.status == 200
    rows: list[dict[str, Any]] = answer.json()
    return rows


def open_gates(app_sql: Sql) -> list[dict[str, Any]]:
    """What SQL says is open."""
    return app_sql.rows(OPEN)


def keep_shared_fields(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of inbox rows what SQL holds, too."""
    names = ("workflowID", "gateKey", "topic", "deadline", "createdAt")
    return [{name: row[name] for name in names} for row in rows]


@pytest.mark.claim("S04.inbox-open-only")
def test_the_inbox_is_the_open_gates_in_the_order_of_their_urgency(
    lab: Stack, provokes: Provokes, unique_goal: str
) -> None:
    due = {3600: "NORMAL", 90: "NORMAL", 40: "WARNING", -5: "CRITICAL"}  # the last is due first
    runs = {left_s: park_run(lab.api, f"{unique_goal} {left_s}")["workflowID"] for left_s in due}
    done = answer_run(lab.api, park_run(lab.api, f"{unique_goal}, done")["workflowID"])[
        "workflowID"
    ]
    provokes(runs[-5], "its deadline passes on purpose")

    with freeze_worker(lab):
        for left_s, wid in runs.items():
            assert lab.admin.execute(DUE_IN, w=wid, s=left_s) == [{"state": "PENDING"}]
        rows = inbox(lab)
        kept = open_gates(lab.app_sql)
        first_two = lab.api.get("/api/hitl/inbox?limit=2").json()

    assert keep_shared_fields(rows) == kept
    assert rows == sorted(rows, key=itemgetter("deadline", "createdAt", "workflowID"))
    words = {row["workflowID"]: row["slaStatus"] for row in rows}
    assert {left_s: words[wid] for left_s, wid in runs.items()} == due
    assert done not in words
    assert keep_shared_fields(first_two) == kept[:2]
    assert {row["mismatchRisk"] for row in rows} == {False}


@pytest.mark.claim("S04.inbox-open-only")
def test_an_answered_gate_is_gone_though_its_run_waits_at_a_later_one(
    lab: Stack, unique_goal: str
) -> None:
    spec = recipes.spec(lab.app_sql)
    spec["id"] = f"asking {unique_goal}"
    spec["intentTmpl"]["constraints"] = {"askUser": True}
    recipes.plant(lab, spec)
    body = {**start(unique_goal), "recipeRef": {"id": spec["id"], "v": spec["v"]}}
    wid = lab.api.post("/api/run", json=body).json()["workflowID"]
    asking = await_status(lab.api, wid, {"WAITING_INPUT"}, deadline_s=PARK_S)
    (question,) = [row["gateKey"] for row in inbox(lab) if row["workflowID"] == wid]

    with freeze_worker(lab):
        answer = {"payload": {"answer": "blue"}, "dedupeKey": "qa-1", "origin": "manual"}
        assert lab.api.post(f"/api/runs/{wid}/gates/{question}/reply", json=answer).status == 200
        at_once = inbox(lab)
    later = eventually(lambda: [row for row in inbox(lab) if row["workflowID"] == wid],
                       deadline_s=PARK_S, until=bool)  # fmt: skip

    assert (asking["nextAction"], question[:9]) == ("ANSWER_QUESTION", "ask-user-")
    assert question not in {row["gateKey"] for row in at_once}
    (approval,) = [row["gateKey"] for row in later]
    assert approval.startswith("approve-plan-")
    assert keep_shared_fields(inbox(lab)) == open_gates(lab.app_sql)
    yes = lab.api.post(f"/api/runs/{wid}/gates/{approval}/reply", json=reply(key="qa-2"))
    assert yes.status == 200
    assert await_status(lab.api, wid, {"SUCCESS"}, deadline_s=END_S)["error"] is None
    assert wid not in {row["workflowID"] for row in inbox(lab)}


@pytest.mark.claim("S04.inbox-open-only")
def test_an_escalation_is_named_only_when_the_durable_engine_has_it(
    lab: Stack, provokes: Provokes, unique_goal: str
) -> None:
    wid, other = (park_run(lab.api, f"{unique_goal} {n}")["workflowID"] for n in range(2))
    provokes(wid, "an escalation is planted, and nobody runs it")
    keys = {row["workflowID"]: row["gateKey"] for row in inbox(lab)}
    before = {row["workflowID"]: row["escalationWorkflowID"] for row in inbox(lab)}

    with freeze_worker(lab):
        lab.admin.execute(ESCALATED, w=wid, g=keys[wid])
        after = {row["workflowID"]: row["escalationWorkflowID"] for row in inbox(lab)}
        there = {row["workflow_uuid"] for row in lab.sys_sql.rows(THERE)}

    assert (before[wid], after[wid]) == (None, f"esc:{wid}:{keys[wid]}")
    assert after[other] is None
    assert {named for named in after.values() if named} <= there
