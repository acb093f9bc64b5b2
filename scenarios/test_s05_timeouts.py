"""S05: silence is a no, in time, and is told once however often the teller dies."""

from __future__ import annotations

import signal

import pytest

from pytest_spec11.fixtures import Provokes
from pytest_spec11.stacks import Stack
from pytest_spec11.waiting import Stopwatch
from scenarios.support.contract.headers import TERMINAL
from scenarios.support.faults.crash_points import DIES_S, arm_process
from scenarios.support.runs.escalations import artifacts, read_only_escalation, workflows
from scenarios.support.runs.gates import approval, await_end, outcomes, start_run, variant
from scenarios.support.runs.run_lifecycle import await_status
from scenarios.support.runs.workshop import Workshop

pytestmark = pytest.mark.S05

TTL_S, SLACK_S = 2, 5
LATE_S = 60  # how late is seen below
TIMES = """
SELECT floor(extract(epoch FROM g.created_at) * 1000)::bigint AS opened,
       floor(extract(epoch FROM r.updated_at) * 1000)::bigint AS ended
FROM app.human_gates g JOIN app.runs r ON r.id = g.run_id WHERE g.run_id = %(r)s
"""
RUN = "SELECT status, next_action, error FROM app.runs WHERE workflow_id = %(w)s"
ENGINE = "SELECT status, completed_at FROM dbos.workflow_status WHERE workflow_uuid = %(w)s"


@pytest.mark.claim("S05.ttl-times-out")
def test_a_gate_that_nobody_answers_is_a_no_in_time(
    lab: Stack, provokes: Provokes, unique_goal: str
) -> None:
    hasty = variant(lab, f"hasty {unique_goal}", planApprovalTimeoutS=TTL_S)
    gate = approval(start_run(lab.api, unique_goal, hasty))
    provokes(gate.wid, "nobody answers on purpose")

    watch = Stopwatch()
    header = await_end(lab.api, lab.sys_sql, gate.wid, deadline_s=LATE_S)

    error = "Plan approval failed: no (rationale: timeout)"
    assert (header["status"], header["nextAction"], header["error"]) == (
        "ERROR", "REPAIR", {"message": error},
    )  # fmt: skip
    assert lab.app_sql.one(RUN, w=gate.wid) == {
        "status": "retries_exceeded",
        "next_action": "REPAIR",
        "error": error,
    }
    told = {word: values for word, (values,) in gate.read_events(lab.sys_sql).items()}
    assert told["prompt"]["ttlS"] == TTL_S
    assert told["result"]["state"] == told["audit"]["event"] == "TIMED_OUT"
    assert (told["decision"]["decision"], told["decision"]["payload"]) == (
        "no", {"rationale": "timeout"},
    )  # fmt: skip
    assert gate.read_rows(lab.app_sql) == {
        "state": "TIMED_OUT",
        "decision": "no",
        "result": "TIMED_OUT",
        "payload": None,
        "answers": 0,
    }
    times = lab.app_sql.one(TIMES, r=gate.run_id)
    engine = lab.sys_sql.one(ENGINE, w=gate.wid)
    assert engine["status"] == "ERROR"
    moments = [told[word]["at"] for word in ("result", "audit", "decision")]
    after_s = [(ms - times["opened"]) / 1000 for ms in (*moments, times["ended"],
                                                        engine["completed_at"])]  # fmt: skip
    assert min(after_s) >= TTL_S
    assert max(after_s) <= TTL_S + SLACK_S * watch.stretch


@pytest.mark.claim("S05.escalation-once")
def test_silence_is_escalated_once(lab: Stack, provokes: Provokes, unique_goal: str) -> None:
    hasty = variant(lab, f"hasty {unique_goal}", planApprovalTimeoutS=1)
    gates = [approval(start_run(lab.api, f"{unique_goal} {number}", hasty)) for number in range(3)]
    for gate in gates:
        provokes(gate.wid, "nobody answers on purpose")

    outcomes(lab, [gate.wid for gate in gates])

    assert len({read_only_escalation(lab, gate) for gate in gates}) == len(gates)


@pytest.mark.claim("S05.escalation-once")
@pytest.mark.parametrize(("moment", "left"), [("before", 0), ("after", 1)])
def test_an_escalation_whose_worker_dies_is_told_once(
    shop: Workshop, provokes: Provokes, unique_goal: str, moment: str, left: int
) -> None:
    stack = shop.stack
    hasty = variant(stack, f"hasty {unique_goal}", planApprovalTimeoutS=1)
    with shop.replace_worker(arm_process(shop.worker, f"worker.escalate.{moment}")) as dying:
        gate = approval(start_run(stack.api, unique_goal, hasty))
        provokes(gate.wid, "nobody answers, and the teller dies")
        assert dying.wait_exit(DIES_S) == -signal.SIGKILL
        cut_short = [row["status"] for row in workflows(stack.sys_sql, gate)]
        told = [row["sha256"] for row in artifacts(stack.app_sql, gate)]

    sha256 = read_only_escalation(stack, gate)

    assert (cut_short, told) == (["PENDING"], [sha256] * left)
    assert await_status(stack.api, gate.wid, TERMINAL, deadline_s=20)["status"] == "ERROR"
    assert stack.process("worker").alive
