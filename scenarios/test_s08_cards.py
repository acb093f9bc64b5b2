"""S08: proof cards compute again what they claim, and nothing that was changed looks proven."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pytest_spec11.oracles.sql import Sql
from pytest_spec11.stacks import Stack
from scenarios.support.contract import identity
from scenarios.support.contract.start_options import BUDGET
from scenarios.support.faults.row_edits import edit_row
from scenarios.support.runs.packs import cards
from scenarios.support.runs.run_with_history import Saga

pytestmark = pytest.mark.S08

KEYS = {"id", "claim", "evidence", "verdict", "source", "ts", "provenance", "rawRef"}
SOURCES = {"sql", "api", "dbos", "artifact", "k6", "policy", "test"}
NOBODY = "ih_" + "0" * 64
STEPS = "SELECT 'step-' || step_id || '-' || attempt AS id FROM app.run_steps WHERE run_id = %(r)s"
ARTIFACTS = """
SELECT concat_ws('-', 'art', step_id, coalesce(nullif(task_key, ''), '-'), idx, attempt) AS id
FROM app.artifacts WHERE run_id = %(r)s
"""
LEDGER = """
SELECT 'ledger-' || gate_key || '-' || dedupe_key AS id
FROM app.human_interactions WHERE run_id = %(r)s
"""
PATCHES = """
SELECT concat_ws('-', 'patch', step_id, patch_index, attempt) AS id
FROM app.patch_history WHERE run_id = %(r)s
"""
RECEIPTS = "SELECT 'receipt-' || receipt_key AS id FROM app.mock_receipts WHERE run_id = %(r)s"
# No row of either schema that belongs to the run is younger, by schema.
NEWEST_APP = """
SELECT max(at) FROM (
    SELECT updated_at AS at FROM app.runs WHERE id = %(r)s
    UNION ALL SELECT created_at FROM app.artifacts WHERE run_id = %(r)s
    UNION ALL SELECT at FROM app.status_history WHERE run_id = %(r)s
    UNION ALL SELECT created_at FROM app.mock_receipts WHERE run_id = %(r)s
    UNION ALL SELECT rolled_back_at FROM app.patch_history WHERE run_id = %(r)s
) AS times
"""
NEWEST_ENGINE = "SELECT updated_at FROM dbos.workflow_status WHERE workflow_uuid = %(w)s"
EXECUTION = "SELECT execution_id FROM app.runs WHERE workflow_id = %(w)s"


def verdicts(stack: Stack, wid: str) -> dict[str, str]:
    """The verdict of each card, by what follows the run's name in its id."""
    begin = f"proof-{wid}-"
    return {card["id"].removeprefix(begin): card["verdict"] for card in cards(stack.api, wid)}


def expect_cards(app_sql: Sql, wid: str) -> list[str]:
    """What there must be a card of, by the rows of schema app."""
    run = identity.run_id(wid)
    rows = [
        row["id"]
        for query in (STEPS, ARTIFACTS, LEDGER, PATCHES, RECEIPTS)
        for row in app_sql.rows(query, r=run)
    ]
    limited = app_sql.value("SELECT budget IS NOT NULL FROM app.runs WHERE id = %(r)s", r=run)
    always = ["identity", "recipe", "status-app", "status-dbos", "partition"]
    return sorted([*always, *rows, *(["budget"] if limited else [])])


@pytest.mark.claim("S08.cards-contract")
@pytest.mark.parametrize("which", ["long", "silent", "plain"])
def test_there_is_a_card_of_everything_and_each_keeps_its_contract(saga: Saga, which: str) -> None:
    wid: str = getattr(saga, which)

    found = cards(saga.stack.api, wid)

    assert [card.keys() ^ KEYS for card in found] == [set()] * len(found)
    assert {card["source"] for card in found} <= SOURCES
    assert {card["verdict"] for card in found} == {"PASS"}
    assert {type(card["ts"]) for card in found} == {int}
    texts = [card[name] for card in found for name in ("claim", "evidence", "provenance", "rawRef")]
    assert all(isinstance(text, str) and text.strip() for text in texts)
    assert sorted(verdicts(saga.stack, wid)) == expect_cards(saga.stack.app_sql, wid)
    assert len({card["id"] for card in found}) == len(found)


@pytest.mark.claim("S08.cards-contract")
def test_cards_say_what_they_are_of_and_where_to_look(saga: Saga) -> None:
    found = {card["id"].removeprefix(f"proof-{saga.long}-"): card
             for card in cards(saga.stack.api, saga.long)}  # fmt: skip
    row = saga.stack.app_sql.one(
        "SELECT intent_hash, execution_id, queue_partition_key, budget FROM app.runs"
        " WHERE workflow_id = %(w)s",
        w=saga.long,
    )

    assert row["execution_id"] == f"rep:{saga.long}:1"
    assert row["intent_hash"] in found["identity"]["evidence"]
    assert row["queue_partition_key"] in found["partition"]["evidence"]
    assert row["budget"] == BUDGET
    assert all(f'"{name}":{limit}' in found["budget"]["evidence"] for name, limit in BUDGET.items())
    assert found["status-dbos"]["evidence"].startswith("app says succeeded, engine says SUCCESS")
    assert found["status-dbos"]["rawRef"].startswith("/api/ops/wf/rep")
    places = {card["rawRef"] for card in found.values()}
    assert len(places) > 10
    assert {place: saga.stack.api.get(place).status for place in places} == dict.fromkeys(
        places, 200
    )


@pytest.mark.claim("S08.cards-contract")
def test_attempts_are_counted_not_spelt(saga: Saga) -> None:
    wid, run = saga.silent, identity.run_id(saga.silent)
    saga.stack.admin.execute(
        "INSERT INTO app.run_steps SELECT run_id, step_id, n, phase, output, trace_id, span_id,"
        " started_at, finished_at FROM app.run_steps, generate_series(2, 11) AS n"
        " WHERE run_id = %(r)s AND step_id = 'CompileST'",
        r=run,
    )
    try:
        steps = [name for name in verdicts(saga.stack, wid) if name.startswith("step-CompileST")]
        rows = saga.stack.app_sql.rows(STEPS, r=run)
    finally:
        saga.stack.admin.execute(
            "DELETE FROM app.run_steps WHERE run_id = %(r)s AND attempt > 1", r=run
        )
    assert steps == [f"step-CompileST-{n}" for n in range(1, 12)]
    assert {*steps} < {row["id"] for row in rows}


@pytest.mark.claim("S08.cards-contract")
def test_there_are_no_cards_of_what_is_no_run(saga: Saga) -> None:
    is_one = "SELECT count(*) FROM app.runs WHERE workflow_id = %(w)s OR id = %(w)s"
    for wid in (NOBODY, saga.child, saga.child_fork, "x"):
        answer = saga.stack.api.get(f"/api/runs/{wid}/proofs")

        assert saga.stack.app_sql.value(is_one, w=wid) == 0
        assert (answer.status, answer.json()) == (404, {"error": "run not found"})
    by_run_id = saga.stack.api.get(f"/api/runs/{identity.run_id(saga.plain)}/proofs")
    assert by_run_id.json() == cards(saga.stack.api, saga.plain)


@pytest.mark.claim("S08.cards-stable")
def test_an_idle_runs_cards_are_the_same_bytes_and_know_no_clock(saga: Saga) -> None:
    paths = [f"/api/runs/{wid}/{what}" for wid in saga.everyone for what in ("proofs", "repro")]
    stack = saga.stack
    before = {path: stack.api.get(path).body for path in paths}
    again = {path: stack.api.get(path).body for path in paths}
    pid = stack.process("api").pid

    stack.process("api").restart()

    assert stack.process("api").pid != pid
    assert {path: stack.api.get(path).body for path in paths} == before == again
    for wid in saga.everyone:
        last = stack.app_sql.value(NEWEST_APP, r=identity.run_id(wid))
        execution = stack.app_sql.value(EXECUTION, w=wid)
        newest = max(_millis(last), stack.sys_sql.value(NEWEST_ENGINE, w=execution))
        times = [card["ts"] for card in cards(stack.api, wid)]
        assert 0 < max(times) <= newest


def _millis(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


# One byte of a row, and the card that it must turn red: table, what is set, where, card.
FLIPS = {
    "intent": (
        "app.intents",
        "json = jsonb_set(json, '{goal}', to_jsonb(overlay(json ->> 'goal' placing '~' from 3)))",
        "id = %(w)s",
        "identity",
    ),
    "artifact": (
        "app.artifacts",
        "inline = jsonb_set(inline, '{goal}', to_jsonb('~' || substr(inline ->> 'goal', 2)))",
        "run_id = %(r)s AND step_id = 'CompileST' AND attempt = 1",
        "art-CompileST---0-1",
    ),
    "output of a task": (
        "app.artifacts",
        "inline = jsonb_set(inline, '{text}', to_jsonb((inline ->> 'text') || '~'))",
        "run_id = %(r)s AND uri LIKE '%%/stdout.log' AND task_key = %(t)s",
        "art-ExecuteST-{task}-5-1",
    ),
    "answer": (
        "app.human_interactions",
        'payload = \'{"choice": "nO"}\'',
        "run_id = %(r)s AND dedupe_key = 'says no'",
        "ledger-{gate}-says no",
    ),
    "postimage": (
        "app.patch_history",
        "postimage_content = overlay(postimage_content placing '~' from 1)",
        "run_id = %(r)s AND patch_index = 1 AND attempt = 2",
        "patch-ApplyPatchST-1-2",
    ),
    "preimage": (
        "app.patch_history",
        "preimage_content = set_byte(preimage_content, 0, 126)",
        "run_id = %(r)s AND patch_index = 0 AND attempt = 3",
        "patch-ApplyPatchST-0-3",
    ),
    "end of a step": (
        "app.run_steps",
        "finished_at = overlay(finished_at::text placing '3' from 1)::timestamptz",
        "run_id = %(r)s AND step_id = 'ApplyPatchST' AND attempt = 1",
        "step-ApplyPatchST-1",
    ),
    "begin of a step": (
        "app.run_steps",
        "started_at = overlay(started_at::text placing '1' from 1)::timestamptz",
        "run_id = %(r)s AND step_id = 'ExecuteST' AND attempt = 2",
        "step-ExecuteST-2",
    ),
}
FIRST_TASK = "SELECT min(task_key) FROM app.sbx_runs WHERE run_id = %(r)s"


@pytest.mark.claim("S08.cards-recompute")
@pytest.mark.parametrize("name", FLIPS)
def test_one_changed_byte_turns_the_card_of_its_row_red_and_no_other(saga: Saga, name: str) -> None:
    table, sets, where, card = FLIPS[name]
    run = identity.run_id(saga.long)
    task = saga.stack.app_sql.value(FIRST_TASK, r=run)
    wanted = card.format(task=task, gate=identity.gate_key(run))
    before = verdicts(saga.stack, saga.long)
    assert {*before.values()} == {"PASS"}

    with edit_row(saga.stack, table, sets, where, r=run, w=saga.long, t=task):
        during = verdicts(saga.stack, saga.long)

    assert during == before | {wanted: "FAIL"}
    assert verdicts(saga.stack, saga.long) == before


@pytest.mark.claim("S08.cards-disagree-red")
@pytest.mark.parametrize(
    ("which", "engine", "app"),
    [
        ("plain", "ERROR", "succeeded"),
        ("plain", "CANCELLED", "succeeded"),
        ("long", "ERROR", "succeeded"),
        ("silent", "SUCCESS", "retries_exceeded"),
    ],
)
def test_two_words_that_cannot_both_be_true_are_red_and_named(
    saga: Saga, which: str, engine: str, app: str
) -> None:
    wid: str = getattr(saga, which)
    stack = saga.stack
    word = "SELECT status, execution_id FROM app.runs WHERE workflow_id = %(w)s"
    row = stack.app_sql.one(word, w=wid)

    with edit_row(stack, "dbos.workflow_status", f"status = '{engine}'", "workflow_uuid = %(w)s",
                 w=row["execution_id"]):  # fmt: skip
        status = "SELECT status FROM dbos.workflow_status WHERE workflow_uuid = %(w)s"
        planted = stack.sys_sql.value(status, w=row["execution_id"])
        found = cards(stack.api, wid)

    assert (row["status"], planted) == (app, engine)
    red = [card for card in found if card["verdict"] != "PASS"]
    assert [(card["id"], card["verdict"]) for card in red] == [(f"proof-{wid}-status-dbos", "FAIL")]
    assert app in red[0]["evidence"]
    assert engine in red[0]["evidence"]


@pytest.mark.claim("S08.cards-disagree-red")
def test_a_run_that_the_engine_does_not_know_is_red(saga: Saga) -> None:
    stack, wid = saga.stack, saga.plain
    elsewhere = "execution_id = 'nobody'"

    with edit_row(stack, "app.runs", elsewhere, "workflow_id = %(w)s", w=wid):
        planted = stack.app_sql.value(
            "SELECT execution_id FROM app.runs WHERE workflow_id = %(w)s", w=wid
        )
        known = stack.sys_sql.rows(
            "SELECT status FROM dbos.workflow_status WHERE workflow_uuid = %(w)s", w=planted
        )
        found = cards(stack.api, wid)

    assert (planted, known) == ("nobody", [])
    assert [card["id"] for card in found if card["verdict"] == "FAIL"] == [
        f"proof-{wid}-status-dbos"
    ]
