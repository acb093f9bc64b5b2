"""S07: exactly six operations; looking changes nothing, and what may not be is refused."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from pytest_spec11.fixtures import Provokes
from pytest_spec11.oracles.http import Api, Reply
from pytest_spec11.oracles.snapshot import assert_unchanged
from pytest_spec11.oracles.sql import Row
from pytest_spec11.stacks import Stack, Stacks
from scenarios.support.contract import identity, recipes
from scenarios.support.contract.inventory import METHODS, Operation, operations
from scenarios.support.contract.start_requests import reply, start
from scenarios.support.faults.zero_writes import freeze_worker, zero_writes
from scenarios.support.probes.paths import OF_A_RUN
from scenarios.support.probes.policy_violations import BLANKS
from scenarios.support.runs.operations import WF, act, act_accepted, fork_run, last_step
from scenarios.support.runs.run_lifecycle import (
    END_S,
    answer_run,
    await_status,
    complete_run,
    park_run,
)

pytestmark = pytest.mark.S07

SIX = {
    ("GET", ""), ("GET", "/{id}"), ("GET", "/{id}/steps"),
    ("POST", "/{id}/cancel"), ("POST", "/{id}/resume"), ("POST", "/{id}/fork"),
}  # fmt: skip
PATHS = (
    *("", "/", "/{id}", "/{id}/", "/{id}/steps", "/{id}/steps/", "/{id}/steps/1"),
    *(f"/{{id}}/{name}" for name in ("cancel", "resume", "fork", "retry", "rewind", "restart")),
    *(f"/{{id}}/{name}" for name in ("delete", "pause", "audit", "events", "children", "status")),
    *("/cancel", "/resume", "/fork", "/{id}/cancel/", "/{id}/fork/1", "/{id}/CANCEL"),
)
WORDS = (
    *("ENQUEUED", "DELAYED", "PENDING", "SUCCESS", "ERROR", "CANCELLED"),
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED",
)
KNOWN = {"RunIntent", "RunTask", "Compensate", "RepairIntent", "EscalateTimeout", "CrashDemo"}
PLANT = """
INSERT INTO dbos.workflow_status (workflow_uuid, status, name, queue_name, created_at, updated_at)
SELECT 'planted-' || lower(word) || '-' || n, word, CASE n %% 2 WHEN 0 THEN 'Even' ELSE 'Odd' END,
       'nowhereQ', 1700000000000 + n / 3, 1700000000000
FROM unnest(%(words)s::text[]) AS word, generate_series(1, 40) AS n
"""
ODD = """
INSERT INTO dbos.workflow_status (workflow_uuid, status, name, queue_name, created_at, updated_at)
VALUES ('planted-nameless', 'PENDING', null, null, 1800000000001, 1800000000001),
       ('planted-unheard-of', 'HIBERNATING', 'Even', null, 1800000000002, 1800000000002)
"""
LISTED = """
SELECT workflow_uuid AS "workflowID", status, name AS "workflowName", queue_name AS "queueName",
       created_at AS "createdAt"
FROM dbos.workflow_status
"""
CHILD = "SELECT workflow_uuid FROM dbos.workflow_status WHERE parent_workflow_id = %(w)s"
ARTIFACT = "SELECT uri FROM app.artifacts WHERE run_id = %(r)s AND step_id = 'CompileST'"
RECORDED = """
SELECT function_id AS "functionId", function_name AS "stepId",
       child_workflow_id AS "childWorkflowID"
FROM dbos.operation_outputs WHERE workflow_uuid = %(w)s ORDER BY function_id
"""


@pytest.fixture(scope="module")
def still(stacks: Stacks) -> Iterator[Stack]:
    """A private stack without a worker, full of workflows that nobody will run."""
    with stacks.start(only=("api",)) as stack:
        stack.admin.execute(PLANT, words=[*WORDS])
        stack.admin.execute(ODD)
        yield stack


@pytest.mark.claim("S07.exact-six")
def test_of_all_that_one_might_ask_exactly_six_are_answered(lab: Stack, unique_goal: str) -> None:
    wid = park_run(lab.api, unique_goal)["workflowID"]
    probes = [*product(METHODS, PATHS)]

    served = {
        (method, path)
        for method, path in probes
        if lab.api.request(method, f"{WF}{path}".replace("{id}", wid)).status != 404
    }
    listed = {(each.method, each.path) for each in operations(lab.api) if each.path.startswith(WF)}

    assert len(probes) >= 60
    assert served == SIX
    assert listed == {(method, f"{WF}{path}") for method, path in SIX}


@pytest.mark.claim("S07.list-bounded")
def test_the_list_is_bounded_ordered_and_says_what_the_rows_say(still: Stack) -> None:
    rows = still.sys_sql.rows(LISTED)
    newest = sorted(rows, key=lambda row: (-row["createdAt"], row["workflowID"]))
    shown = list_workflows(still.api, "?limit=200")

    assert len(rows) > 250
    assert len({row["createdAt"] for row in newest[:200]}) < 30  # so ids decide
    named = [row | {"workflowName": row["workflowName"] or row["workflowID"]} for row in newest]
    assert [{key: row[key] for key in named[0]} for row in shown] == named[:200]
    assert [row["workflowID"] for row in shown[:2]] == ["planted-unheard-of", "planted-nameless"]
    assert list_workflows(still.api, "") == shown[:20]
    assert list_workflows(still.api, "?limit=200") == shown
    refused = [f"{WF}?{q}" for q in ("limit=0", "limit=201", "limit=x", "status=DONE", "more=1")]
    assert {still.api.get(each).status for each in refused} == {400}


@pytest.mark.claim("S07.list-bounded")
@pytest.mark.parametrize("word", WORDS)
def test_the_list_is_filtered_by_word_and_by_name(still: Stack, word: str) -> None:
    rows = [row for row in still.sys_sql.rows(LISTED) if row["status"] == word]
    newest = sorted(rows, key=lambda row: (-row["createdAt"], row["workflowID"]))

    shown = list_workflows(still.api, f"?limit=200&status={word}")
    even = list_workflows(still.api, f"?limit=200&status={word}&name=Even")

    assert len(newest) >= 40
    assert [row["workflowID"] for row in shown] == [row["workflowID"] for row in newest]
    assert even == [row for row in shown if row["workflowName"] == "Even"]
    assert len(even) == 20


def list_workflows(api: Api, query: str) -> list[dict[str, Any]]:
    answer = api.get(f"{WF}{query}")
    assert answer.status == 200
    rows: list[dict[str, Any]] = answer.json()
    return rows


@pytest.mark.claim("S07.list-bounded")
def test_one_workflow_is_its_row_with_its_audit_and_its_steps_in_order(
    lab: Stack, unique_goal: str
) -> None:
    wid = complete_run(lab.api, unique_goal)["workflowID"]
    fork = fork_run(lab.api, wid, last_step(lab.sys_sql, wid))
    await_status(lab.api, fork, {"SUCCESS"}, deadline_s=END_S)

    one = lab.api.get(f"{WF}/{wid}").json()
    steps = lab.api.get(f"{WF}/{wid}/steps").json()

    audit = one.pop("audit")
    assert [one] == [
        row for row in list_workflows(lab.api, "?limit=200") if row["workflowID"] == wid
    ]
    assert [(row["op"], row["forkedWorkflowID"]) for row in audit] == [("fork", fork)]
    recorded = lab.sys_sql.rows(RECORDED, w=wid)
    assert [{key: row[key] for key in recorded[0]} for row in steps] == recorded
    numbers = [row["functionId"] for row in steps]
    assert numbers == sorted({*numbers})
    assert {row["status"] for row in steps} == {"SUCCESS"}
    # An answer was sent to the run, and what carried it is no workflow (B79).
    assert {row["workflowName"] for row in list_workflows(lab.api, "?limit=200")} <= KNOWN


@pytest.mark.claim("S07.gets-are-read-only")
def test_looking_at_anything_anywhere_writes_nothing(
    lab: Stack, provokes: Provokes, unique_goal: str
) -> None:
    silent = hasty(lab, unique_goal)
    provokes(silent, "nobody answers at its gate")
    done = complete_run(lab.api, f"{unique_goal}, done")["workflowID"]
    waiting = park_run(lab.api, f"{unique_goal}, waiting")["workflowID"]
    gone = park_run(lab.api, f"{unique_goal}, gone")["workflowID"]
    act_accepted(lab.api, gone, "cancel")
    fork = fork_run(lab.api, done, last_step(lab.sys_sql, done))
    demo = f"demo of {unique_goal}"[:200]
    assert lab.api.request("POST", f"/crashdemo?wf={quote(demo)}").status == 202
    await_status(lab.api, silent, {"ERROR"}, deadline_s=END_S)
    escalation = f"esc:{silent}:{identity.gate_key(identity.run_id(silent))}"
    child = lab.sys_sql.value(CHILD, w=done)
    workflows = (done, gone, silent, fork, waiting, child, escalation, demo)
    artifact = lab.app_sql.value(ARTIFACT, r=identity.run_id(done))
    known = [each for each in operations(lab.api) if each.method == "GET"]

    with zero_writes(lab):
        seen = {
            (each.path, wid): lab.api.get(place(each, wid, artifact)).status
            for each in known
            for wid in (*workflows, identity.run_id(done), "nobody")
            if not (each.path.endswith("/stream/status") and wid in {fork, waiting})  # no end yet
        }

    assert {*seen.values()} <= {200, 404}
    assert {path for (path, _), status in seen.items() if status == 200} == {
        each.path for each in known
    }
    for wid in workflows:
        assert seen[f"{WF}/{{id}}", wid] == seen[f"{WF}/{{id}}/steps", wid] == 200
    for wid in (child, escalation, demo, "nobody"):
        assert seen[OF_A_RUN, wid] == 404


def place(each: Operation, wid: str, artifact: str) -> str:
    """Where the operation is for that id, whatever the id is called there."""
    names = {
        "wid": wid,
        "id": "compile-default" if each.path.startswith("/api/recipes") else wid,
        "gateKey": identity.gate_key(identity.run_id(wid)),
        "stepId": "ApplyPatchST",
        "uri": artifact,
    }
    query = f"?{urlencode({'wf': wid})}" if "wf" in each.query else ""
    return f"{each.at(**names)}{query}"


def hasty(stack: Stack, goal: str) -> str:
    """The workflow id of a run whose gate waits for one second."""
    spec = recipes.spec(stack.app_sql)
    spec["id"] = f"hasty {goal}"
    spec["intentTmpl"]["constraints"] = {"timeoutS": 1}
    recipes.plant(stack, spec)
    body = {**start(goal), "recipeRef": {"id": spec["id"], "v": spec["v"]}}
    wid: str = stack.api.post("/api/run", json=body).json()["workflowID"]
    return wid


NOBODY = "ih_" + "0" * 64
BAD: tuple[tuple[dict[str, Any], str], ...] = (
    ({"reason": "drill"}, "/actor"),
    ({"actor": "ops"}, "/reason"),
    *(({"actor": blank, "reason": "drill"}, "/actor") for blank in (*BLANKS, 7, ["ops"])),
    *(({"actor": "ops", "reason": blank}, "/reason") for blank in (*BLANKS, 7, ["drill"])),
)


@pytest.mark.claim("S07.actor-reason-required")
def test_nobody_acts_without_a_name_and_a_reason(lab: Stack, unique_goal: str) -> None:
    done = complete_run(lab.api, f"{unique_goal}, done")["workflowID"]
    waiting, gone = (park_run(lab.api, f"{unique_goal} {n}")["workflowID"] for n in range(2))
    act_accepted(lab.api, gone, "cancel")
    legal = {"cancel": waiting, "resume": gone, "fork": done}
    step = {"fork": {"stepN": 1}}

    with zero_writes(lab):
        refused = {
            (op, wid == NOBODY, number): lab.api.post(
                f"{WF}/{wid}/{op}", json={**body, **step.get(op, {})}
            )
            for op, target in legal.items()
            for wid in (target, NOBODY)
            for number, (body, _) in enumerate(BAD)
        }
        missing = {op: act(lab.api, NOBODY, op, **step.get(op, {})) for op in legal}

    assert len(refused) == 6 * len(BAD)
    assert {answer.status for answer in refused.values()} == {400}
    for (_, _, number), answer in refused.items():
        assert [fault["pointer"] for fault in answer.json()["details"]] == [BAD[number][1]]
    assert {op: (answer.status, answer.json()) for op, answer in missing.items()} == {
        op: (404, {"error": f"workflow not found: {NOBODY}"}) for op in legal
    }
    for op, wid in legal.items():  # each of them would have been legal
        act_accepted(lab.api, wid, op, **step.get(op, {}))


@pytest.mark.claim("S07.illegal-409")
def test_what_is_over_stays_over_and_what_runs_needs_no_help(
    lab: Stack, provokes: Provokes, unique_goal: str
) -> None:
    done = complete_run(lab.api, f"{unique_goal}, done")["workflowID"]
    failed, gone, waiting = (
        park_run(lab.api, f"{unique_goal} {n}")["workflowID"] for n in range(3)
    )
    provokes(failed, "its plan is rejected")
    assert answer_run(lab.api, failed, "no")["status"] == "ERROR"
    act_accepted(lab.api, gone, "cancel")

    with freeze_worker(lab):
        queued = lab.api.post("/api/run", json=start(f"{unique_goal}, queued")).json()["workflowID"]
        most = {wid: last_step(lab.sys_sql, wid) or 0 for wid in (done, gone, waiting, queued)}
        with assert_unchanged(lab.app_sql, lab.sys_sql):
            cancels = {wid: act(lab.api, wid, "cancel") for wid in (done, failed, gone)}
            resumes = {wid: act(lab.api, wid, "resume") for wid in (done, failed, waiting, queued)}
            forks = {wid: act(lab.api, wid, "fork", stepN=most[wid] + 1) for wid in most}
            never = act(lab.api, done, "fork", stepN=0)

    word = {done: "SUCCESS", failed: "ERROR", gone: "CANCELLED", waiting: "PENDING",
            queued: "ENQUEUED"}  # fmt: skip
    for wid, answer in cancels.items():
        assert refusal(answer) == f"cannot cancel workflow in status {word[wid]}"
    for wid, answer in resumes.items():
        assert refusal(answer) == f"cannot resume workflow in status {word[wid]}"
    for wid, answer in forks.items():
        assert refusal(answer) == f"fork stepN {most[wid] + 1} exceeds max step {most[wid]}"
    assert (never.status, [each["pointer"] for each in never.json()["details"]]) == (
        400,
        ["/stepN"],
    )
    assert (most[queued], min(most[done], most[gone], most[waiting]) > 2) == (0, True)


def refusal(answer: Reply) -> str:
    """Why the state of the workflow does not allow it."""
    body: dict[str, str] = answer.json()
    assert (answer.status, body.pop("code")) == (409, "illegal_state")
    assert body.keys() == {"error"}
    return body["error"]


WAITING_ROWS = """
SELECT workflow_uuid, status, queue_name, created_at FROM dbos.workflow_status
WHERE status IN ('ENQUEUED', 'DELAYED', 'PENDING')
"""
GATES = "SELECT workflow_uuid, key FROM dbos.workflow_events WHERE key LIKE 'ui:%%'"
VIEW = """
SELECT queue_name AS "queueName", status, workflow_count AS "workflowCount",
       oldest_created_at AS "oldestCreatedAt", newest_created_at AS "newestCreatedAt"
FROM app.v_ops_queue_depth
"""
IN_QUEUES = """
INSERT INTO dbos.workflow_status (workflow_uuid, status, name, queue_name, created_at, updated_at)
VALUES ('depth-1', 'DELAYED', 'Odd', 'nowhereQ', 1700000000000, 1), ('depth-2', 'DELAYED', 'Odd', 'nowhereQ', 1700000000007, 1),
       ('depth-3', 'PENDING', null, null, 1700000000003, 1), ('depth-4', 'SUCCESS', 'Odd', 'nowhereQ', 1700000000001, 1)
"""  # noqa: E501  # one statement
OUT_OF_QUEUES = "DELETE FROM dbos.workflow_status WHERE workflow_uuid LIKE 'depth-%'"


@pytest.mark.claim("S07.queue-depth-true")
def test_depth_is_what_one_counts_and_who_waits_for_people_is_no_load(
    lab: Stack, unique_goal: str
) -> None:
    waiting = [park_run(lab.api, f"{unique_goal}, waiting {n}")["workflowID"] for n in range(3)]
    resolved = park_run(lab.api, f"{unique_goal}, answered")["workflowID"]

    with freeze_worker(lab):
        for n in range(2):
            lab.api.post("/api/run", json=start(f"{unique_goal}, queued {n}"))
        gate = identity.gate_key(identity.run_id(resolved))
        lab.api.post(f"/api/runs/{resolved}/gates/{gate}/reply", json=reply())
        lab.admin.execute(IN_QUEUES)
        try:
            shown = lab.api.get("/api/ops/queue-depth?limit=200").json()
            first = lab.api.get("/api/ops/queue-depth?limit=1").json()
            viewed = lab.sys_sql.rows(VIEW)
            counted = depth(lab.sys_sql.rows(WAITING_ROWS), lab.sys_sql.rows(GATES))
        finally:
            lab.admin.execute(OUT_OF_QUEUES)

    def by(row: dict[str, Any]) -> tuple[bool, str, str]:
        return row["queueName"] is None, row["queueName"] or "", row["status"]

    assert shown == sorted(counted, key=by)
    assert sorted(viewed, key=by) == shown
    assert first == shown[:1]
    rows = {(row["queueName"], row["status"]): row for row in shown}
    assert rows["intentQ", "WAITING_INPUT"]["workflowCount"] >= len(waiting)
    assert rows["intentQ", "ENQUEUED"]["workflowCount"] >= 2
    assert rows["nowhereQ", "DELAYED"] == {
        "queueName": "nowhereQ", "status": "DELAYED", "workflowCount": 2,
        "oldestCreatedAt": 1700000000000, "newestCreatedAt": 1700000000007,
    }  # fmt: skip
    assert rows[None, "PENDING"]["workflowCount"] >= 1


def depth(workflows: list[Row], events: list[Row]) -> list[dict[str, Any]]:
    """The prover's own count, by queue and word; who asked and was not answered waits."""
    told = {(row["workflow_uuid"], row["key"]) for row in events}
    asking = {
        wid for wid, key in told if key.count(":") == 1 and (wid, f"{key}:result") not in told
    }
    found: dict[tuple[str | None, str], list[int]] = {}
    for row in workflows:
        waits = row["status"] == "PENDING" and row["workflow_uuid"] in asking
        word = "WAITING_INPUT" if waits else row["status"]
        found.setdefault((row["queue_name"], word), []).append(row["created_at"])
    return [
        {"queueName": queue, "status": word, "workflowCount": len(times),
         "oldestCreatedAt": min(times), "newestCreatedAt": max(times)}
        for (queue, word), times in found.items()
    ]  # fmt: skip
