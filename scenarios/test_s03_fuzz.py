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
from scenarios.dice import Dice
from scenarios.fuzzing import Fuzz
from scenarios.inventory import operations
from scenarios.lives import succeeded
from scenarios.stillness import frozen

pytestmark = pytest.mark.S03

SIZE = 400
GOALS = 20  # few enough that some are started twice
POSTS_MORE = 6  # what takes a body can go wrong in more ways
ANSWERS = {200, 201, 202, 400, 404, 409}
INSIDES = (b"Traceback", b"psycopg", b"SELECT ", b"INSERT ", b"app.runs", b'File "')
# What an accepted start writes, by the column that names its run.
STARTED = {
    "app.intents": "id",
    "app.runs": "workflow_id",
    "dbos.workflow_status": "workflow_uuid",
    "dbos.workflow_input": "workflow_uuid",
}


@pytest.mark.claim("S03.fuzz-no-500")
def test_no_request_finds_a_way_in(lab: Stack, unique_goal: str) -> None:
    ended = succeeded(lab.api, unique_goal)
    known = operations(lab.api)
    weighed = [*known, *POSTS_MORE * [each for each in known if each.body]]
    fuzz = Fuzz(Dice(unique_goal), weighed, _usual(lab, ended, unique_goal))

    with frozen(lab):
        before = _written(lab)
        seen = [
            (asked, lab.api.request(asked.method, asked.url, content=asked.content))
            for asked in (fuzz.request() for _ in range(SIZE))
        ]
        after = _written(lab)

    wrong = [(asked, reply.status, reply.body[:200]) for asked, reply in seen if not _sound(reply)]
    assert wrong == []
    found = Counter(reply.status for _, reply in seen)
    assert all(found[status] for status in ANSWERS - {202}), f"an outcome never occurred: {found}"
    assert after["others"] == before["others"]
    started = {reply.json()["workflowID"] for _, reply in seen if reply.status == 201}
    for table in STARTED:
        assert before[table].items() <= after[table].items()
        assert after[table].keys() - before[table].keys() == started


def _usual(stack: Stack, ended: Mapping[str, Any], goal: str) -> dict[str, Sequence[Any]]:
    """What parameters and properties are called by those who know the run that ``ended``."""
    wid = ended["workflowID"]
    (gate,) = stack.api.get(f"/api/runs/{wid}/gates").json()
    steps = stack.api.get(f"/api/runs/{wid}/steps").json()
    forms = [{"goal": f"{goal} {number}"} for number in range(GOALS)]
    return {
        "wid": (wid, ended["runId"], "ih_unknown"),
        "gateKey": (gate["gateKey"], gate["gateKey"], "approve-plan-0"),
        "uri": tuple(each["artifactRefs"][0]["id"] for each in steps),
        "id": ("compile-default", "compile-default", "compile-default", "seed.r02", "none"),
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


def _written(stack: Stack) -> dict[str, Any]:
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
