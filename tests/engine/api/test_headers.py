"""A header tells of one moment, whatever commits between the two schemas it is read from."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from pytest_spec11.waiting import GIVE_UP_S, eventually
from tests.engine.shim_process import Shim

WAITS = """
SELECT count(*) FROM pg_locks WHERE relation = 'dbos.workflow_status'::regclass AND NOT granted
"""
ENDS = """
UPDATE app.runs SET status = 'retries_exceeded', execution_id = %(e)s WHERE workflow_id = %(w)s
"""
ENGINE_ENDS = "UPDATE dbos.workflow_status SET status = 'ERROR' WHERE workflow_uuid = %(w)s"


@pytest.mark.parametrize("owner", ["", "rep:of-it:1"])
def test_a_run_that_ends_between_the_two_reads_has_ended_in_both(shim: Shim, owner: str) -> None:
    wid = shim.start(f"torn {owner}").json()["workflowID"]
    with psycopg.connect(shim.dsn) as db, ThreadPoolExecutor(1) as asker:
        db.execute("LOCK TABLE dbos.workflow_status")
        asked = asker.submit(shim.http.get, f"/api/runs/{wid}")
        eventually(lambda: shim.rows(WAITS)[0]["count"] == 1, deadline_s=10)
        db.execute(ENDS, {"w": wid, "e": owner or wid})
        db.execute(ENGINE_ENDS, {"w": wid})
        db.commit()
        header = asked.result(GIVE_UP_S).json()

    assert (header["status"], header["durableStatus"]) == ("ERROR", "retries_exceeded")
    assert header["executionID"] == (owner or wid)
