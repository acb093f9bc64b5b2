"""S11: a run costs what its budget allows; what would be more does not begin, and says so."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pytest_spec11.fixtures import Provokes
from scenarios.support.contract import identity
from scenarios.support.runs.budgets import (
    MIB,
    RUN,
    WORDS,
    approve_plan,
    attempts,
    await_end,
    budget,
    children,
    document,
    reason,
    violation,
    violations,
)
from scenarios.support.runs.workshop import Workshop

pytestmark = pytest.mark.S11

# The course's own words.
COURSE = (
    "select run_id,step_id,payload from app.artifacts where step_id='BUDGET'"
    " order by created_at desc limit 20"
)
KEPT = """
SELECT sum(octet_length(coalesce(inline ->> 'text', inline::text)))::bigint AS bytes,
       (SELECT sum(octet_length(response::text)) FROM app.sbx_runs s WHERE s.run_id = a.run_id)::bigint
           AS recorded
FROM app.artifacts a WHERE run_id = %(r)s AND step_id = 'ExecuteST' GROUP BY run_id
"""  # noqa: E501  # one statement
CHUNK = 64 * 1024
SCHEMA = Path(__file__).with_name("budget.schema.json")
PAIR = ["a minutes=1", "b minutes=1"]


@pytest.mark.claim("S11.limit-is-inclusive")
@pytest.mark.parametrize(
    ("command", "tests", "limits", "ends"),
    [
        ("run-test", PAIR, {"maxFanout": 2, "maxSBXMinutes": 2}, ["NONE", "NONE"]),
        ("run-test", ["a mb=1"], {"maxArtifactsMB": 1}, ["NONE"]),
        ("FLAKY_INFRA_FAIL", ["a"], {"maxRetriesPerStep": 2}, ["BOOT_FAIL", "BOOT_FAIL", "NONE"]),
    ],
    ids=["fanout and minutes", "megabytes", "retries"],
)  # fmt: skip
def test_a_run_may_cost_as_much_as_its_budget_says(
    shop: Workshop, command: str, tests: list[str], limits: dict[str, int], ends: list[str]
) -> None:
    topic = f"inclusive {command} {len(tests)} {[*limits]}"

    wid = approve_plan(shop, topic, *tests, command=command, budget=budget(**limits))

    header = await_end(shop, wid)
    assert (header["status"], header["error"]) == ("SUCCESS", None)
    assert sorted(end for _, _, end in attempts(shop.stack, wid)) == ends
    assert violations(shop.stack, wid) == []
    stored = shop.stack.app_sql.one(RUN, r=identity.run_id(wid))
    assert (stored["status"], stored["budget"]) == ("succeeded", budget(**limits))


@pytest.mark.claim("S11.fanout-before-start")
def test_too_many_tasks_are_none_at_all(shop: Workshop, provokes: Provokes) -> None:
    wid = approve_plan(shop, "fanout", "a", "b", budget=budget(maxFanout=1))
    provokes(wid, "it has more tasks than its budget allows")

    header = await_end(shop, wid)

    said = reason("maxFanout", 2, 1)
    assert (header["status"], header["durableStatus"]) == ("ERROR", "retries_exceeded")
    assert (header["nextAction"], header["error"]) == ("REPAIR", {"message": said})
    assert attempts(shop.stack, wid) == []
    assert children(shop.stack, wid) == []
    row = violation(shop.stack, wid)
    assert row["inline"] == document("maxFanout", 2, 1)
    stored = shop.stack.app_sql.one(RUN, r=identity.run_id(wid))
    assert (stored["status"], stored["next_action"], stored["error"]) == (
        "retries_exceeded", "REPAIR", said,
    )  # fmt: skip
    assert stored["budget"] == budget(maxFanout=1)


@pytest.mark.claim("S11.minutes-summed")
def test_minutes_add_up_and_a_third_task_does_not_begin(shop: Workshop, provokes: Provokes) -> None:
    tests = [f"{name} minutes=1" for name in "abc"]
    wid = approve_plan(shop, "minutes", *tests, budget=budget(maxSBXMinutes=1))
    provokes(wid, "its tasks take more minutes than its budget allows")

    header = await_end(shop, wid)

    assert header["error"] == {"message": reason("maxSBXMinutes", 2, 1)}
    begun = [f"run-test {test}" for test in tests[:2]]
    assert attempts(shop.stack, wid) == [(cmd, 1, "NONE") for cmd in begun]
    assert children(shop.stack, wid) == ["SUCCESS"] * 2
    row = violation(shop.stack, wid)
    assert row["inline"] == document("maxSBXMinutes", 2, 1)


@pytest.mark.claim("S11.minutes-summed")
def test_what_was_queued_before_the_minutes_were_spent_is_called_off(
    shop: Workshop, provokes: Provokes
) -> None:
    tests = ["a minutes=9", *(f"{n} minutes=1" for n in range(12))]
    wid = approve_plan(shop, "called off", *tests, budget=budget(maxSBXMinutes=8))
    provokes(wid, "its first task takes more minutes than its budget allows")

    header = await_end(shop, wid)

    assert header["durableStatus"] == "retries_exceeded"
    row = violation(shop.stack, wid)
    billed = "SELECT sum((metrics ->> 'billedMinutes')::int) FROM app.sbx_runs WHERE run_id = %(r)s"
    spent = shop.stack.app_sql.value(billed, r=identity.run_id(wid))
    assert 8 < row["inline"]["observed"] <= spent <= 9 + 7
    assert {"ENQUEUED", "PENDING", "DELAYED"} & {*children(shop.stack, wid)} == set()
    assert len(children(shop.stack, wid)) <= 8


@pytest.mark.claim("S11.megabytes-bounded")
def test_of_too_much_output_no_more_is_kept_than_allowed(
    shop: Workshop, provokes: Provokes
) -> None:
    wid = approve_plan(shop, "megabytes", "a mb=3", budget=budget(maxArtifactsMB=1))
    provokes(wid, "its output is larger than its budget allows")

    header = await_end(shop, wid)

    assert header["error"] == {"message": reason("maxArtifactsMB", 3, 1)}
    kept = shop.stack.app_sql.one(KEPT, r=identity.run_id(wid))
    assert MIB <= kept["bytes"] <= MIB + CHUNK
    assert MIB <= kept["recorded"] <= MIB + CHUNK
    row = violation(shop.stack, wid)
    assert row["inline"] == document("maxArtifactsMB", 3, 1)


@pytest.mark.claim("S11.megabytes-bounded")
def test_the_output_of_all_tasks_is_bounded_together(shop: Workshop, provokes: Provokes) -> None:
    tests = [f"{n} mb=1" for n in range(5)]
    wid = approve_plan(shop, "megabytes of all", *tests, budget=budget(maxArtifactsMB=2))
    provokes(wid, "its output is larger than its budget allows")

    header = await_end(shop, wid)

    assert header["durableStatus"] == "retries_exceeded"
    kept = shop.stack.app_sql.one(KEPT, r=identity.run_id(wid))
    assert 2 * MIB <= kept["bytes"] <= 2 * MIB + CHUNK
    assert 2 * MIB <= kept["recorded"] <= 2 * MIB + CHUNK
    row = violation(shop.stack, wid)
    observed = row["inline"]["observed"]
    assert row["inline"] == document("maxArtifactsMB", observed, 2)
    assert 3 <= observed <= 5


@pytest.mark.claim("S11.retries-before-attempt")
def test_an_attempt_that_would_be_one_too_many_is_not_made(
    shop: Workshop, provokes: Provokes
) -> None:
    limits = budget(maxRetriesPerStep=0)
    wid = approve_plan(shop, "retries", "a", command="FLAKY_INFRA_FAIL", budget=limits)
    provokes(wid, "its task needs more retries than its budget allows")

    header = await_end(shop, wid)

    assert header["error"] == {"message": reason("maxRetriesPerStep", 1, 0)}
    assert attempts(shop.stack, wid) == [("FLAKY_INFRA_FAIL a", 1, "BOOT_FAIL")]
    row = violation(shop.stack, wid)
    assert row["inline"] == document("maxRetriesPerStep", 1, 0)
    (child,) = shop.stack.sys_sql.rows(
        "SELECT count(*) AS attempts FROM dbos.operation_outputs o JOIN dbos.workflow_status w"
        " USING (workflow_uuid) WHERE parent_workflow_id = %(w)s AND function_name = 'executeTask'",
        w=wid,
    )
    assert child["attempts"] == 1


@pytest.mark.claim("S11.one-row-per-violation")
def test_a_violation_is_one_row_before_the_end(shop: Workshop, provokes: Provokes) -> None:
    wid = approve_plan(shop, "one row", "a", "b", "c", budget=budget(maxFanout=2))
    provokes(wid, "it has more tasks than its budget allows")
    await_end(shop, wid)
    run = identity.run_id(wid)

    row = violation(shop.stack, wid)

    course = [each for each in shop.stack.app_sql.rows(COURSE) if each["run_id"] == run]
    assert course == [{"run_id": run, "step_id": "BUDGET", "payload": document("maxFanout", 3, 2)}]
    assert row["inline"] == document("maxFanout", 3, 2)
    assert (row["kind"], row["task_key"], row["attempt"]) == ("json_diagnostic", "maxFanout", 1)
    stored = shop.stack.app_sql.one(RUN, r=run)
    ends = [
        each for each in shop.stack.app_sql.rows(WORDS, r=run) if each["status"] == stored["status"]
    ]
    assert [each["status"] for each in ends] == ["retries_exceeded"]
    assert row["created_at"] <= stored["updated_at"] <= ends[0]["at"]


@pytest.mark.claim("S11.one-row-per-violation")
def test_the_steps_and_the_bytes_tell_what_the_row_tells(
    shop: Workshop, provokes: Provokes
) -> None:
    wid = approve_plan(shop, "told", "a", "b", budget=budget(maxFanout=1))
    provokes(wid, "it has more tasks than its budget allows")
    await_end(shop, wid)
    row = violation(shop.stack, wid)

    step = budget_step(shop, wid)
    (ref,) = step["artifactRefs"]
    told = shop.stack.api.get(f"/api/artifacts/{ref['id']}")

    assert (step["status"], step["attempt"], step["phase"]) == ("ERROR", 1, "budget")
    assert (ref["kind"], ref["mime"]) == ("json_diagnostic", "application/json")
    assert told.json() == row["inline"] == document("maxFanout", 2, 1)
    assert sha256(told.body).hexdigest() == row["sha256"]
    schema = Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
    assert [*schema.iter_errors(told.json())] == []
    assert [*schema.iter_errors(row["inline"])] == []
    assert not schema.is_valid({"json": row["inline"]})


@pytest.mark.claim("S11.second-violation")
def test_a_repair_that_goes_too_far_again_has_a_row_of_its_own(
    shop: Workshop, provokes: Provokes
) -> None:
    tests = ["a minutes=1", "b minutes=2", "c minutes=4"]
    wid = approve_plan(shop, "again", *tests, budget=budget(maxSBXMinutes=2))
    provokes(wid, "its tasks take more minutes than its budget allows, twice")
    assert await_end(shop, wid)["error"] == {"message": reason("maxSBXMinutes", 3, 2)}

    assert shop.stack.api.post(f"/api/runs/{wid}/retry").status == 202
    header = await_end(shop, wid)

    assert (header["status"], header["durableStatus"]) == ("ERROR", "retries_exceeded")
    assert (header["retryCount"], header["executionID"]) == (1, f"rep:{wid}:1")
    assert header["error"] == {"message": reason("maxSBXMinutes", 4, 2)}
    rows = violations(shop.stack, wid)
    assert [(row["attempt"], row["inline"]) for row in rows] == [
        (1, document("maxSBXMinutes", 3, 2)), (2, document("maxSBXMinutes", 4, 2)),
    ]  # fmt: skip
    done = [cmd for cmd, _, _ in attempts(shop.stack, wid)]
    assert sorted(done) == [f"run-test {test}" for test in tests]
    newest = budget_step(shop, wid)
    assert (newest["attempt"], newest["status"]) == (2, "ERROR")


def budget_step(shop: Workshop, wid: str) -> dict[str, Any]:
    """The one step BUDGET of the run, as the API shows it."""
    steps = shop.stack.api.get(f"/api/runs/{wid}/steps").json()
    (found,) = [step for step in steps if step["stepID"] == "BUDGET"]
    return dict(found)
