"""S04: a gate is there with the word that says so, shows what it asks, and tells all once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from pytest_spec11.canon import digest
from pytest_spec11.oracles.sql import Sql
from pytest_spec11.stacks import Stack
from scenarios.support.contract import identity
from scenarios.support.contract.start_requests import start
from scenarios.support.runs.gates import APPROVAL_FORM, Gate, await_end, waiting
from scenarios.support.runs.run_lifecycle import PARK_S, await_status

pytestmark = pytest.mark.S04

STARTS = 50
AT_ONCE = 5
BY = {"actor": "qa", "reason": "seen enough"}
WINDOW = """
CREATE TABLE public.prover_windows (run_id text, gates bigint, prompts bigint);
GRANT SELECT ON public.prover_windows TO spec11_reader;
CREATE FUNCTION public.prover_looks() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO public.prover_windows
    SELECT r.id, count(g.gate_key), count(e.key)
    FROM app.runs r
    LEFT JOIN app.human_gates g ON g.run_id = r.id AND g.state = 'PENDING'
    LEFT JOIN dbos.workflow_events e
        ON e.workflow_uuid = g.workflow_id AND e.key = 'ui:' || g.gate_key
    WHERE r.id = NEW.id AND r.status = 'waiting_input'
    GROUP BY r.id;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER prover_looks AFTER INSERT OR UPDATE OF status ON app.runs
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.status = 'waiting_input')
    EXECUTE FUNCTION public.prover_looks();
"""
NO_WINDOW = """
DROP TRIGGER prover_looks ON app.runs;
DROP FUNCTION public.prover_looks;
DROP TABLE public.prover_windows;
"""
VIEW = {
    "workflowID", "gateKey", "topic", "state", "prompt", "result", "decision", "origin",
    "payloadHash", "createdAt", "deadlineAt",
}  # fmt: skip
ROW = """
SELECT state, topic, prompt, result,
       floor(extract(epoch FROM created_at) * 1000)::bigint AS created,
       floor(extract(epoch FROM deadline_at) * 1000)::bigint AS deadline
FROM app.human_gates WHERE run_id = %(r)s AND gate_key = %(g)s
"""
INTERACTION = """
SELECT dedupe_key, origin, payload, payload_hash FROM app.human_interactions
WHERE run_id = %(r)s
"""
NOW_MS = "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now"
GOLDEN_RUN = "run_53356a23f0560fb9a31d64987afacf82"


@contextmanager
def looked_through(stack: Stack) -> Iterator[None]:
    """While the block runs, each commit by which a run waits leaves what it made visible."""
    stack.admin.execute(WINDOW)
    try:
        yield
    finally:
        stack.admin.execute(NO_WINDOW)


@pytest.mark.claim("S04.no-404-window")
def test_who_reads_that_a_run_waits_finds_its_gate(lab: Stack, unique_goal: str) -> None:
    api = lab.api

    def first_sight(number: int) -> tuple[str, list[str]]:
        wid = api.post("/api/run", json=start(f"{unique_goal} {number}")).json()["workflowID"]
        await_status(api, wid, {"WAITING_INPUT"}, deadline_s=PARK_S)
        listed = api.get(f"/api/runs/{wid}/gates")
        assert api.post(f"/api/ops/wf/{wid}/cancel", json=BY).status == 202  # makes room
        return identity.run_id(wid), [gate["state"] for gate in listed.json()]

    with looked_through(lab):
        with ThreadPoolExecutor(AT_ONCE) as pool:
            seen = dict(pool.map(first_sight, range(STARTS)))
        commits = lab.app_sql.rows("SELECT * FROM public.prover_windows")

    assert len(seen) == STARTS
    assert [*seen.values()] == [["PENDING"]] * STARTS
    assert len(commits) == STARTS
    visible = {row["run_id"]: (row["gates"], row["prompts"]) for row in commits}
    assert visible == dict.fromkeys(seen, (1, 1))


@pytest.mark.claim("S04.gate-view")
def test_a_gate_shows_what_it_asks_and_until_when(lab: Stack, unique_goal: str) -> None:
    earliest = lab.app_sql.value(NOW_MS)
    gate = waiting(lab.api, unique_goal)
    latest = lab.app_sql.value(NOW_MS)

    (listed,) = lab.api.get(f"/api/runs/{gate.wid}/gates").json()

    assert listed == gate.view(lab.api)
    assert listed.keys() == VIEW
    assert (listed["workflowID"], listed["gateKey"]) == (gate.wid, gate.key)
    assert (listed["state"], listed["topic"]) == ("PENDING", f"human:{gate.key}")
    told = ("result", "decision", "origin", "payloadHash")
    assert {listed[name] for name in told} == {None}
    assert earliest <= listed["createdAt"] <= latest
    assert listed["deadlineAt"] == listed["createdAt"] + 3_600_000
    assert listed["prompt"] == {
        "schemaVersion": 1,
        "formSchema": APPROVAL_FORM,
        "ttlS": 3600,
        "createdAt": listed["createdAt"],
        "deadlineAt": listed["deadlineAt"],
        "uiHints": None,
        "defaults": None,
    }
    assert lab.app_sql.one(ROW, r=gate.run_id, g=gate.key) == {
        "state": "PENDING",
        "topic": listed["topic"],
        "prompt": listed["prompt"],
        "result": None,
        "created": listed["createdAt"],
        "deadline": listed["deadlineAt"],
    }


@pytest.mark.claim("S04.gate-view")
def test_the_key_of_a_gate_is_the_golden_formula_s(lab: Stack, unique_goal: str) -> None:
    gate = waiting(lab.api, unique_goal)

    stored = lab.app_sql.value("SELECT gate_key FROM app.human_gates WHERE run_id = %(r)s",
                               r=gate.run_id)  # fmt: skip

    assert stored == gate.key == identity.gate_key(gate.run_id)
    assert identity.gate_key(GOLDEN_RUN) == "approve-plan-eedf15bc7d9edb8b"
    assert identity.gate_key(GOLDEN_RUN, "CompileST", "ask-user") == "ask-user-1c6dd16a79c02483"
    assert identity.gate_key(GOLDEN_RUN, purpose="parallel-1") == "parallel-1-c13659d392763cba"


@pytest.mark.claim("S04.events-once")
def test_a_gate_tells_each_thing_once_and_of_the_answer_that_counted(
    lab: Stack, unique_goal: str
) -> None:
    gate = waiting(lab.api, unique_goal)

    refused_before = gate.say(lab.api, {"choice": "maybe"}, key="first", origin="webhook")
    accepted = gate.say(lab.api, {"approved": True, "rationale": "read it"}, origin="webhook-ci")
    replayed = gate.say(lab.api, {"approved": True, "rationale": "read it"}, origin="manual")
    refused = gate.choose(lab.api, "no", key="second", origin="external")

    assert [each.status for each in (refused_before, accepted, replayed, refused)] == [
        400, 200, 200, 409,
    ]  # fmt: skip
    assert await_end(lab.api, lab.sys_sql, gate.wid)["status"] == "SUCCESS"
    payload = {"approved": True, "rationale": "read it"}
    view = gate.view(lab.api)
    assert one_each(lab.sys_sql, gate) == {
        "prompt": view["prompt"],
        "result": view["result"],
        "audit": {"schemaVersion": 1, "event": "RECEIVED", "actor": None, "reason": "read it"},
        "decision": {"schemaVersion": 1, "decision": "yes", "payload": {"rationale": "read it"}},
    }
    assert view["result"] == {
        "schemaVersion": 1,
        "state": "RECEIVED",
        "payload": payload,
        "payloadHash": digest(payload),
        "at": view["result"]["at"],
    }
    assert (view["state"], view["decision"]) == ("RESOLVED", "yes")
    kept = lab.app_sql.one(INTERACTION, r=gate.run_id)
    assert kept == {
        "dedupe_key": "qa-1",
        "origin": view["origin"],
        "payload": payload,
        "payload_hash": view["payloadHash"],
    }
    assert (view["origin"], view["payloadHash"]) == ("webhook-ci", digest(payload))


def one_each(sys_sql: Sql, gate: Gate) -> dict[str, Any]:
    """The one value of each event of the gate; audit and decision without their time."""
    told = gate.read_events(sys_sql)
    assert {word: len(values) for word, values in told.items()} == dict.fromkeys(told, 1)
    single = {word: value for word, (value,) in told.items()}
    assert {type(single[word].pop("at")) for word in ("audit", "decision")} == {int}
    return single
