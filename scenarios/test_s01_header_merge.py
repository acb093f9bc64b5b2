"""S01: the header's status is a fixed merge of the two rows, whatever they say."""

from __future__ import annotations

import pytest

from pytest_spec11.fixtures import Provokes
from pytest_spec11.stacks import Stack
from scenarios.support.contract.start_requests import start

pytestmark = pytest.mark.S01
# Rows: what the app row says; columns: what the engine's row says. Written out, not computed.
ENGINE = [
    "ENQUEUED",
    "DELAYED",
    "PENDING",
    "SUCCESS",
    "ERROR",
    "CANCELLED",
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED",
]
ENDED = ["SUCCESS", "ERROR", "CANCELLED", "ERROR"]  # what the last four of ENGINE read as
MOVING = ["PENDING", "PENDING", "PENDING", *ENDED]
FAILED = ["ERROR"] * 7
HEADER = {
    "queued": ["ENQUEUED", "ENQUEUED", "PENDING", *ENDED],
    "running": MOVING,
    "repairing": MOVING,
    "waiting_input": ["WAITING_INPUT", "WAITING_INPUT", "WAITING_INPUT", *ENDED],
    "succeeded": ["SUCCESS"] * 7,
    "failed": FAILED,
    "retries_exceeded": FAILED,
    "canceled": ["CANCELLED"] * 7,
}
SET_APP = "UPDATE app.runs SET status = %(word)s WHERE workflow_id = %(w)s"
SET_ENGINE = "UPDATE dbos.workflow_status SET status = %(word)s WHERE workflow_uuid = %(w)s"
APP = "SELECT status FROM app.runs WHERE workflow_id = %(w)s"
SYS = "SELECT status FROM dbos.workflow_status WHERE workflow_uuid = %(w)s"


@pytest.mark.claim("S01.header-merge-table")
def test_every_pair_of_words_reads_as_the_map_says(
    idle: Stack, provokes: Provokes, unique_goal: str
) -> None:
    read = {app: _row(idle, provokes, f"{unique_goal} {app}", app) for app in HEADER}

    assert read == HEADER


def _row(stack: Stack, provokes: Provokes, goal: str, app: str) -> list[str]:
    """What the header of a run whose app row says ``app`` says for each word of the engine's."""
    wid = stack.api.post("/api/run", json=start(goal)).json()["workflowID"]
    provokes(wid, "its two rows are made to contradict each other")
    stack.admin.execute(SET_APP, word=app, w=wid)
    return [_read(stack, wid, (app, engine)) for engine in ENGINE]


def _read(stack: Stack, wid: str, words: tuple[str, str]) -> str:
    """The header's status once the engine's row says the second of ``words``, too."""
    stack.admin.execute(SET_ENGINE, word=words[1], w=wid)
    header = stack.api.get(f"/api/runs/{wid}").json()
    assert (stack.app_sql.value(APP, w=wid), stack.sys_sql.value(SYS, w=wid)) == words
    assert header["durableStatus"] == words[0]
    status: str = header["status"]
    return status
