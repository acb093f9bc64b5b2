"""Runs and workflows that ended long ago, and the command that removes them."""

from __future__ import annotations

import json
from typing import Any

from tests.engine.processes import Ended, engine
from tests.engine.shim_process import Shim

GC = ("db", "gc", "--older-than", "30d")
ENDED = """
UPDATE app.runs SET status = 'succeeded', updated_at = now() - interval '40 days'
WHERE workflow_id = ANY(%s)
"""
ENDED_ENGINE = """
UPDATE dbos.workflow_status
SET status = 'SUCCESS', completed_at = app.millis(now() - interval '40 days'),
    updated_at = app.millis(now() - interval '40 days')
WHERE workflow_uuid = ANY(%s)
"""
BEGUN = """
SELECT dbos.enqueue_workflow(workflow_name => %s, queue_name => 'controlQ', workflow_id => %s,
                             named_args => '{}', application_name => 'spec11')
"""


def gc(dsn: str, *words: str, **env: str) -> Ended:
    return engine(*GC, *words, SPEC11_DSN=dsn, **env)


def parse_report(ended: Ended) -> dict[str, Any]:
    assert ended.code == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def end_runs(shim: Shim, *goals: str) -> list[str]:
    """Workflow ids of new runs that no worker took and that ended 40 days ago."""
    wids = [shim.start(goal).json()["workflowID"] for goal in goals]
    shim.run(ENDED, wids)
    shim.run(ENDED_ENGINE, wids)
    return wids


def end_workflow(shim: Shim, kind: str, wid: str) -> None:
    shim.rows(BEGUN, kind, wid)
    shim.run(ENDED_ENGINE, [wid])


def is_there(shim: Shim, wid: str) -> bool:
    return shim.rows("SELECT FROM dbos.workflow_status WHERE workflow_uuid = %s", wid) != []
