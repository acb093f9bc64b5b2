"""S10: figures of throughput are the rows' own, and which sandbox a task got is on record."""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from pytest_spec11.canon import digest
from pytest_spec11.fixtures import Provokes
from pytest_spec11.oracles.proc import Exit
from pytest_spec11.stacks import Stack, Stacks
from scenarios.support.contract.commands import engine
from scenarios.support.crowds.throughput import (
    BUDGETS,
    HOUR_MS,
    again,
    bare,
    fairness,
    priority,
    read_throughput,
    recent,
    templates,
)
from scenarios.support.runs.gates import await_end, await_gates, start_run, variant
from scenarios.support.runs.operations import act_accepted
from scenarios.support.runs.queues import start_runs
from scenarios.support.runs.run_lifecycle import complete_run

pytestmark = pytest.mark.S10

DEPTH = "SELECT * FROM app.v_ops_queue_depth"
AGE = """
UPDATE dbos.workflow_status SET created_at = created_at - %(by)s
WHERE workflow_uuid = ANY(%(ids)s) OR parent_workflow_id = ANY(%(ids)s) RETURNING workflow_uuid
"""
VIOLATION = {
    "kind": "budget", "metric": "maxSBXMinutes", "scope": "runtime", "limit": 1, "observed": 5,
    "unit": "minutes", "outcome": "blocked",
    "reason": "budget:maxSBXMinutes: observed 5 > limit 1 (runtime)",
}  # fmt: skip
PLANT = """
INSERT INTO app.artifacts (run_id, step_id, task_key, idx, kind, uri, inline, sha256)
VALUES (%(r)s, 'BUDGET', 'maxSBXMinutes', 0, 'json_diagnostic', %(uri)s, %(inline)s::jsonb, %(sha)s)
"""
HELD = {"metric": "p95Ms", "limit": 1200.0, "observed": 40.0, "pass": True}
LANE = {
    "name": "smoke", "startedAt": 1_700_000_000_000, "finishedAt": 1_700_000_020_000,
    "samples": 900, "avgMs": 12.5, "p95Ms": 40.0, "p99Ms": 81.0,
    "thresholds": [HELD],
}  # fmt: skip
REGISTERED = "SELECT template_key, template_id FROM app.sbx_templates ORDER BY created_at"
SELECTED = """
SELECT template_key, template_id FROM app.sbx_selections WHERE run_id = %(r)s ORDER BY selected_at
"""


@pytest.fixture(scope="module")
def works(stacks: Stacks) -> Iterator[Stack]:
    """A private stack whose load lanes leave their files in a directory of its own."""
    with stacks.start(env={"SPEC11_LOAD_DIR": "{stack.dir}/load"}) as stack:
        yield stack


@pytest.mark.claim("S10.throughput-true")
def test_figures_are_those_of_the_rows_and_stay_when_the_queues_are_empty(
    works: Stack, unique_goal: str
) -> None:
    for number, opts in enumerate(({}, {"lane": "batch"}, {"queuePartitionKey": "another"})):
        complete_run(works.api, f"{unique_goal} {number}", **opts)
    assert works.sys_sql.rows(DEPTH) == []

    seen, rows = read_throughput(works.api), recent(works.sys_sql)

    assert {row["queueName"] for row in seen["fairness"]} == {"intentQ", "sbxQ"}
    assert bare(seen["fairness"]) == fairness(rows)
    assert bare(seen["priority"]) == priority(rows)
    assert {row["priority"] for row in seen["priority"]} == {1, 1000}
    for row in (*seen["fairness"], *seen["priority"]):
        assert (row["source"], again(works, row)) == ("sql:sys", row["workflowCount"])
    assert read_throughput(works.api) == seen


@pytest.mark.claim("S10.throughput-true")
def test_latency_is_from_creation_to_start_and_what_is_old_and_over_is_left_out(
    works: Stack, unique_goal: str
) -> None:
    works.process("worker").stop()
    lying = start_runs(works, [f"{unique_goal} lying"], tenant="lies")
    over = start_runs(works, [f"{unique_goal} over"], tenant="over")
    act_accepted(works.api, over[0], "cancel")
    works.process("worker").start()
    (waits,) = start_runs(works, [f"{unique_goal} waits"], tenant="waits")
    for wid in (*lying, waits):
        await_gates(works.api, wid)
    works.admin.execute(AGE, ids=lying, by=2 * HOUR_MS)

    seen, rows = read_throughput(works.api), recent(works.sys_sql)

    assert bare(seen["fairness"]) == fairness(rows)
    assert bare(seen["priority"]) == priority(rows)
    (late,) = [row for row in seen["fairness"] if row["partitionKey"] == "lies"]
    assert (late["status"], late["maxLatencyMs"] >= 2 * HOUR_MS) == ("PENDING", True)
    act_accepted(works.api, waits, "cancel")
    works.admin.execute(AGE, ids=[waits], by=2 * HOUR_MS)
    assert "waits" not in {row["partitionKey"] for row in read_throughput(works.api)["fairness"]}
    for wid in lying:  # the queues are empty again
        act_accepted(works.api, wid, "cancel")


@pytest.mark.claim("S10.throughput-true")
def test_budgets_that_were_exceeded_are_told_in_the_words_of_their_documents(
    works: Stack, provokes: Provokes, unique_goal: str
) -> None:
    header = complete_run(works.api, unique_goal)
    provokes(header["workflowID"], "a violation is planted beside its artifacts")
    uri = f"artifact://run/{header['runId']}/step/BUDGET/task/maxSBXMinutes/maxSBXMinutes.json"
    planted = {"r": header["runId"], "uri": uri, "sha": digest(VIOLATION)}
    works.admin.execute(PLANT, **planted, inline=json.dumps(VIOLATION))

    (told,) = read_throughput(works.api)["budgets"]

    (kept,) = works.app_sql.rows(BUDGETS)
    assert told == {
        "source": "sql:app", "provenance": "app.artifacts", "rawRef": uri, "ts": kept["ts"],
        "runId": kept["run_id"],
        **{name: VIOLATION[name] for name in ("metric", "unit", "limit", "observed", "outcome")},
    }  # fmt: skip
    assert kept["inline"] == VIOLATION
    assert works.api.get(f"/api/artifacts/{told['rawRef']}").json() == kept["inline"]


@pytest.mark.claim("S10.throughput-true")
def test_load_lanes_are_told_with_their_own_time_and_what_cannot_be_read_is_red(
    works: Stack,
) -> None:
    place = Path(works.fill_process("api").env["SPEC11_LOAD_DIR"])
    place.mkdir()
    failed = [{**HELD, "observed": 2000.0, "pass": False}]
    written = {
        "burst": json.dumps({**LANE, "name": "burst", "samples": 0}),
        "mustfail": json.dumps({**LANE, "name": "mustfail", "thresholds": failed}),
        "nan": json.dumps({**LANE, "name": "nan", "p99Ms": float("nan")}),
        "ramp": "{",
        "smoke": json.dumps(LANE),
        "soak": json.dumps(LANE),
    }
    for name, text in written.items():
        (place / f"{name}.json").write_text(text, encoding="utf-8")

    seen = {row["name"]: row for row in read_throughput(works.api)["load"]}

    assert {name: row["pass"] for name, row in seen.items()} == {
        name: name == "smoke" for name in written
    }
    assert {name for name, row in seen.items() if row["fault"]} == {"nan", "ramp", "soak"}
    assert {name: row["sha256"] for name, row in seen.items()} == {
        name: sha256(text.encode()).hexdigest() for name, text in written.items()
    }
    told = seen["smoke"]
    assert (told["source"], told["rawRef"]) == ("file", "file:smoke.json")
    assert (told["ts"], told["p95Ms"], told["p99Ms"]) == (LANE["finishedAt"], 40.0, 81.0)
    assert told["thresholds"] == LANE["thresholds"]


@pytest.mark.claim("S10.template-selection")
def test_the_same_dependencies_are_hot_and_others_are_cold_until_they_have_a_row(
    works: Stack, unique_goal: str
) -> None:
    sandbox = {"base": "python", "dependencies": ["pytest", "{{formData.topic}}"]}
    ref = variant(works, f"templated {digest(unique_goal)}", sandbox=sandbox)
    keys = {topic: _key(ref, topic) for topic in ("httpx", "dbos")}
    first = _register_template(works, ref, "httpx", "template-1")

    hot, cold = (_run_to_success(works, unique_goal, ref, topic) for topic in keys)
    second = _register_template(works, ref, "dbos", "template-2")
    later = _run_to_success(works, f"{unique_goal} later", ref, "dbos")

    assert (first.code, second.code) == (0, 0)
    assert [_read_selection(works, wid) for wid in (hot, cold, later)] == [
        {"template_key": keys["httpx"], "template_id": "template-1"},
        {"template_key": keys["dbos"], "template_id": None},
        {"template_key": keys["dbos"], "template_id": "template-2"},
    ]
    told = [row for row in read_throughput(works.api)["templates"] if row["recipeId"] == ref["id"]]
    measured = templates(works.app_sql)
    assert {(row["templateKey"], row["templateId"], row["selection"]) for row in told} == {
        (keys["httpx"], "template-1", "hot"),
        (keys["dbos"], None, "cold"),
        (keys["dbos"], "template-2", "hot"),
    }
    for row in told:
        count, boot_ms, exec_ms = measured[row["templateKey"], row["templateId"]]
        assert (row["source"], row["runCount"]) == ("sql:app", count)
        assert abs(row["avgBootMs"] - boot_ms) <= 1
        assert abs(row["avgExecMs"] - exec_ms) <= 1


@pytest.mark.claim("S10.template-selection")
def test_the_same_dependencies_never_get_another_template(works: Stack, unique_goal: str) -> None:
    ref = variant(works, f"templated {digest(unique_goal)}")
    made = _register_template(works, ref, "httpx", "template-1")
    before = works.app_sql.rows(REGISTERED)

    again_ = _register_template(works, ref, "httpx", "template-1")
    other = _register_template(works, ref, "httpx", "template-2")
    nowhere = _register_template(works, {**ref, "v": "v9"}, "httpx", "template-1")

    assert (made.code, again_.code, other.code, nowhere.code) == (0, 0, 1, 1)
    assert json.loads(made.stdout)["outcome"] == "registered"
    assert json.loads(again_.stdout)["outcome"] == "known"
    key = _key(ref, "httpx")
    assert other.stderr == f"spec11-engine templates: template drift: {key} is template-1\n"
    assert (works.app_sql.rows(REGISTERED), before[-1]["template_key"]) == (before, key)
    listed = engine(works, "templates", "list").stdout
    assert f"{key}\ttemplate-1\n" in listed


def _register_template(stack: Stack, ref: dict[str, str], dependency: str, name: str) -> Exit:
    """How it ended that ``name`` was to be the template of these dependencies, in any order."""
    made_of = ["--base", "python", "--dependency", dependency, "--dependency", "pytest"]
    recipe = f"{ref['id']}@{ref['v']}"
    words = ("register", "--recipe", recipe, *made_of, "--id", name, "--json")
    return engine(stack, "templates", *words)


def _run_to_success(stack: Stack, goal: str, ref: dict[str, str], topic: str) -> str:
    """The id of a run that has succeeded."""
    wid = start_run(stack.api, goal, ref, topic=topic)
    (gate,) = await_gates(stack.api, wid)
    assert gate.choose(stack.api).status == 200
    header = await_end(stack.api, stack.sys_sql, wid)
    assert header["status"] == "SUCCESS"
    return str(header["runId"])


def _read_selection(stack: Stack, run_id: str) -> dict[str, Any]:
    return stack.app_sql.one(SELECTED, r=run_id)


def _key(ref: dict[str, str], dependency: str) -> str:
    made_of = {"base": "python", "dependencies": sorted([dependency, "pytest"])}
    return f"{ref['id']}:{ref['v']}:{digest(made_of)}"
