"""S03: whatever is sent, the answer is one of six, and what was refused wrote nothing."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from pytest_spec11.oracles.http import Reply
from pytest_spec11.oracles.snapshot import take
from pytest_spec11.stacks import Stack
from scenarios.fuzzing import Request, requests
from scenarios.inventory import operations
from scenarios.lives import succeeded
from scenarios.stillness import frozen

pytestmark = pytest.mark.S03

SIZE = 400
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
    (gate,) = lab.api.get(f"/api/runs/{ended['workflowID']}/gates").json()
    steps = lab.api.get(f"/api/runs/{ended['workflowID']}/steps").json()
    known = operations(lab.api)
    names = {
        "wid": [ended["workflowID"], ended["runId"], "ih_unknown"],
        "gateKey": [gate["gateKey"], "approve-plan-0"],
        "uri": [steps[0]["artifactRefs"][0]["id"]],
        "id": ["compile-default", "seed.r02", "none"],
    }
    seen: list[tuple[Request, Reply]] = []

    with frozen(lab):
        before = _written(lab)
        _send(lab, requests(known, names), seen)
        after = _written(lab)

    wrong = [(asked, reply.status, reply.body[:200]) for asked, reply in seen if not _sound(reply)]
    assert wrong == []
    assert len(seen) >= SIZE
    found = Counter(reply.status for _, reply in seen)
    assert min(found[200], found[201], found[400], found[404]) > 0, (
        "one of the outcomes never occurred"
    )
    assert after["others"] == before["others"]
    started = {reply.json()["workflowID"] for _, reply in seen if reply.status == 201}
    for table in STARTED:
        assert before[table].items() <= after[table].items()
        assert after[table].keys() - before[table].keys() == started


def _send(stack: Stack, drawn: Any, seen: list[tuple[Request, Reply]]) -> None:
    """``seen`` has grown by SIZE requests, the same ones at every run, and their replies."""
    api = stack.api

    @settings(
        max_examples=SIZE,
        database=None,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(drawn)
    def send(asked: Request) -> None:
        seen.append((asked, api.request(asked.method, asked.url, content=asked.content)))

    send()


def _sound(reply: Reply) -> bool:
    """One of the six answers, a JSON value where it should be, and nothing of the inside."""
    if reply.status not in ANSWERS or any(word in reply.body for word in INSIDES):
        return False
    if reply.status >= 400 or reply.headers["content-type"] == "application/json":
        return isinstance(json.loads(reply.body), dict | list)
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
