"""What the reconciler looks at: workflows that ended by themselves, and nothing else."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from engine.background import reconcile as background
from engine.store import pool, reconcile
from tests.engine.shim_process import Shim

ENDS = "UPDATE dbos.workflow_status SET status = %s WHERE workflow_uuid = %s"
FAILS = "UPDATE app.runs SET status = 'retries_exceeded' WHERE workflow_id = %s"
MOVES = "UPDATE app.runs SET updated_at = clock_timestamp() WHERE workflow_id = %s"
AGO = "UPDATE app.runs SET updated_at = updated_at - interval '1 minute' WHERE workflow_id = %s"
OLDER = "UPDATE app.lone_endings SET at = at - interval '1 minute'"
KEPT = "SELECT id FROM app.lone_endings ORDER BY id"
STATUS = "SELECT status FROM app.runs WHERE workflow_id = %s"


def list_lone_endings(shim: Shim) -> list[str]:
    return [str(row["id"]) for row in shim.rows(KEPT)]


def start_run(shim: Shim, goal: str) -> str:
    return str(shim.start(goal).json()["workflowID"])


async def _look(dsn: str) -> None:
    async with await pool.connect(dsn) as tx:
        await background.reconcile_once(tx)


@pytest.mark.parametrize("word", ["ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"])
def test_a_run_whose_workflow_ended_by_itself_is_ended_once(own_shim: Shim, word: str) -> None:
    wid, other = start_run(own_shim, "ends"), start_run(own_shim, "goes on")
    own_shim.run(ENDS, word, wid)
    assert list_lone_endings(own_shim) == [wid]

    asyncio.run(_look(own_shim.dsn))
    assert list_lone_endings(own_shim) == [wid], "its worker may be about to end the run"
    own_shim.run(OLDER)
    own_shim.run(AGO, wid)
    asyncio.run(_look(own_shim.dsn))

    assert own_shim.rows(STATUS, wid)[0]["status"] in {"retries_exceeded", "canceled"}
    assert own_shim.rows(STATUS, other) == [{"status": "queued"}]
    assert list_lone_endings(own_shim) == []


def test_a_run_that_moves_is_looked_at_again(own_shim: Shim) -> None:
    wid = start_run(own_shim, "moves")
    own_shim.run(ENDS, "ERROR", wid)
    own_shim.run(OLDER)
    own_shim.run(MOVES, wid)

    asyncio.run(_look(own_shim.dsn))

    assert own_shim.rows(STATUS, wid) == [{"status": "queued"}]
    assert list_lone_endings(own_shim) == [wid]


def test_who_ends_both_in_one_transaction_leaves_nothing(own_shim: Shim) -> None:
    canceled, failed = start_run(own_shim, "is canceled"), start_run(own_shim, "fails")
    said = {"actor": "test", "reason": "test"}
    own_shim.http.post(f"/api/ops/wf/{canceled}/cancel", json=said).raise_for_status()
    with psycopg.connect(own_shim.dsn) as db:
        db.execute(ENDS, ("ERROR", failed))
        db.execute(FAILS, (failed,))

    assert list_lone_endings(own_shim) == []


def test_what_ended_again_meanwhile_is_not_forgotten(own_shim: Shim) -> None:
    wid = start_run(own_shim, "ends twice")
    own_shim.run(ENDS, "ERROR", wid)
    own_shim.run(OLDER)
    own_shim.run(ENDS, "PENDING", wid)
    own_shim.run(ENDS, "ERROR", wid)

    asyncio.run(_forget(own_shim.dsn, wid))

    assert list_lone_endings(own_shim) == [wid]


async def _forget(dsn: str, wid: str) -> None:
    async with await pool.connect(dsn) as tx:
        await reconcile.forget(tx, [wid])
