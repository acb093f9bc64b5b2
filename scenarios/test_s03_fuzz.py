"""S03: whatever is sent, the answer is one of six, and what was refused wrote nothing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from pytest_spec11.oracles.http import Reply
from pytest_spec11.oracles.snapshot import take
from pytest_spec11.stacks import Stack
from scenarios.support.contract.inventory import operations
from scenarios.support.contract.seeded_random import Dice
from scenarios.support.faults.zero_writes import freeze_worker
from scenarios.support.probes.fuzzing import Fuzz
from scenarios.support.probes.requests import START
from scenarios.support.probes.subjects import subject
from scenarios.support.runs.run_lifecycle import complete_run

pytestmark = pytest.mark.S03

SIZE = 400
GOALS = 20  # few enough that some are started twice
POSTS_MORE = 2  # what takes a body can go wrong in more ways
STARTS_MORE = 15  # and most starts do
ANSWERS = {200, 201, 202, 400, 404, 409}
INSIDES = (
    b"Traceback",
    b"psycopg",
    b"SELECT ",
    b"INSERT ",
    b"FROM app.",
    b"UPDATE app.",
    b'File "',
)
# What an accepted start writes, by the column that names its run.
STARTED = {
    "app.intents": "id",
    "app.runs": "workflow_id",
    "dbos.workflow_status": "workflow_uuid",
    "dbos.workflow_input": "workflow_uuid",
}


@pytest.fixture
def fuzz(lab: Stack, unique_goal: str) -> Fuzz:
    """Requests about a run that has ended, most of them starts."""
    ended = complete_run(lab.api, unique_goal)
    known = operations(lab.api)
    weighed = [*known, *POSTS_MORE * [each for each in known if each.body]]
    weighed += STARTS_MORE * [each for each in known if each.path == START]
    return Fuzz(Dice(unique_goal), weighed, _usual(lab, ended, unique_goal))


@pytest.mark.claim("S03.fuzz-no-500")
def test_no_request_finds_a_way_in(lab: Stack, fuzz: Fuzz) -> None:
    with freeze_worker(lab):
        before = _read_rows(lab)
        seen = [
            (asked, lab.api.request(asked.method, asked.url, content=asked.content))
            for asked in (fuzz.request() for _ in range(SIZE))
        ]
        after = _read_rows(lab)

    wrong = [(asked, reply.status, reply.body[:200]) for asked, reply in seen if not _sound(reply)]
    assert wrong == []
    found = Counter(reply.status for _, reply in seen)
    assert all(found[status] for status in ANSWERS - {202}), f"an outcome never occurred: {found}"
    assert after["others"] == before["others"]
    started = {reply.json()["workflowID"] for _, reply in seen if reply.status == 201}
    demos = {reply.json()["workflowId"] for _, reply in seen if reply.status == 202}
    for table in STARTED:
        made = started if table.startswith("app.") else started | demos
        assert before[table].items() <= after[table].items()
        assert after[table].keys() - before[table].keys() == made


def _usual(stack: Stack, ended: Mapping[str, Any], goal: str) -> dict[str, Sequence[Any]]:
    """What parameters and properties are called by those who know the run that ``ended``.

    No operation on a workflow is accepted: it has ended, and it has no thousandth step.
    """
    wid = ended["workflowID"]
    known = subject(stack.api, wid)
    forms = [{"goal": f"{goal} {number}"} for number in range(GOALS)]
    return {
        "wid": (wid, ended["runId"], "ih_unknown"),
        "gateKey": (known.gate_key, known.gate_key, "approve-plan-0"),
        "uri": (known.uri,),
        "stepId": ("CompileST", "ApplyPatchST", "Nothing"),
        "workflowId": (wid, ended["runId"], "ih_unknown"),
        "topic": (f"human:{known.gate_key}", "human:other"),
        "id": (*["compile-default"] * 3, "seed.r02", wid, wid, "none"),
        "wf": (f"demo of {goal}", wid),
        "stepN": (1_000, 2**31 - 1),
        "v": ("v1", "v1", "v1", "v2"),
        "intentId": (wid, "ih_unknown"),
        "formData": (*forms, {**forms[0], "topic": "beta"}),
        "queuePartitionKey": ("acme",),
        "queueName": ("intentQ", "intentQ", "sbxQ"),
        "recipeName": ("compile-default",),
        "recipeVersion": ("v1",),
        "payload": ({"choice": "yes"}, {"choice": "no"}, {"approved": True}),
    }


def _sound(reply: Reply) -> bool:
    """One of the six answers, a JSON value where it should be, and nothing of the inside."""
    if reply.status not in ANSWERS or any(word in reply.body for word in INSIDES):
        return False
    if reply.status >= 400 or reply.headers["content-type"] == "application/json":
        return isinstance(json.loads(reply.body or b"{}"), dict | list)  # to HEAD there is none
    return True


def _read_rows(stack: Stack) -> dict[str, Any]:
    """The rows that starts write, with their xmin, and digests of all other tables."""
    oracles = {"app": stack.app_sql, "dbos": stack.sys_sql}
    rows = {
        table: {
            row["key"]: row["xmin"]
            for row in oracles[table.partition(".")[0]].rows(
                f"SELECT {key} AS key, xmin::text FROM {table}"  # noqa: S608  # names from our own table
            )
        }
        for table, key in STARTED.items()
    }
    but = dict.fromkeys(STARTED, "an accepted start writes it")
    return {**rows, "others": [take(oracle, but=but) for oracle in oracles.values()]}
