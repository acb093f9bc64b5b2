"""Operations on workflows by an operator, and the state of both schemas afterwards."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from pytest_spec11.oracles.http import Api, Reply
from pytest_spec11.oracles.proc import Exit
from pytest_spec11.oracles.sql import Row, Sql
from pytest_spec11.stacks import Stack
from pytest_spec11.waiting import eventually
from scenarios.support.contract.commands import engine

WF = "/api/ops/wf"
BY = {"actor": "ops", "reason": "drill"}
OVER = frozenset({"SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"})
SETTLE_S = 20.0
# The course's own SQL, with another limit.
COURSE = (
    "select run_id,step_id,inline->>'op' op,inline->>'actor' actor,inline->>'reason' reason"
    " from app.artifacts where step_id='OPS' order by created_at desc limit 200"
)
AUDIT = """
SELECT inline ->> 'op' AS op, inline ->> 'actor' AS actor, inline ->> 'reason' AS reason,
       inline ->> 'forkedWorkflowID' AS forked, inline ->> 'outcome' AS outcome
FROM app.artifacts WHERE step_id = 'OPS' AND inline ->> 'targetWorkflowID' = %(w)s
ORDER BY created_at
"""
_APP = "SELECT status FROM app.runs WHERE execution_id = %(w)s"
_ENGINE = "SELECT status FROM dbos.workflow_status WHERE workflow_uuid = %(w)s"
_LAST = "SELECT max(function_id) FROM dbos.operation_outputs WHERE workflow_uuid = %(w)s"
_NUMBER = """
SELECT min(function_id) FROM dbos.operation_outputs
WHERE workflow_uuid = %(w)s AND function_name = %(name)s
"""


def act(api: Api, wid: str, op: str, **more: Any) -> Reply:
    """Request one operation; return the answer."""
    return api.post(f"{WF}/{wid}/{op}", json={**BY, **more})


def act_accepted(api: Api, wid: str, op: str, **more: Any) -> dict[str, Any]:
    """Request an operation that must be accepted; return the body."""
    answer = act(api, wid, op, **more)
    body: dict[str, Any] = answer.json()
    assert (answer.status, body) == (202, {**body, "accepted": True, "workflowID": wid})
    return body


def fork_run(api: Api, wid: str, step: int, **more: Any) -> str:
    """Fork from that step; return the id of the fork."""
    fork: str = act_accepted(api, wid, "fork", stepN=step, **more)["forkedWorkflowID"]
    return fork


def audit(app_sql: Sql, wid: str) -> list[Row]:
    """The audit of the workflow, oldest first."""
    return app_sql.rows(AUDIT, w=wid)


def words(stack: Stack, wid: str) -> tuple[str, str]:
    """The execution's status in both schemas; it first reads the one that is written last."""
    engine = stack.sys_sql.value(_ENGINE, w=wid)
    return stack.app_sql.value(_APP, w=wid), engine


def await_settled(stack: Stack, wid: str) -> tuple[str, str]:
    """Wait until the durable engine ended it; return the same."""
    return eventually(
        lambda: words(stack, wid), deadline_s=SETTLE_S, until=lambda seen: seen[1] in OVER
    )


def last_step(sys_sql: Sql, wid: str) -> int:
    """The functionId of the workflow's last recorded operation."""
    number: int = sys_sql.value(_LAST, w=wid)
    return number


def number_of(sys_sql: Sql, wid: str, name: str) -> int:
    """The functionId of the step of that name."""
    number: int = sys_sql.value(_NUMBER, w=wid, name=name)
    return number


def ops(stack: Stack, *words: str) -> Exit:
    """Run ``spec11-engine ops WORDS``; return its exit."""
    return engine(stack, "ops", *words, "--url", stack.api.base_url)


def pipe_commands(stack: Stack, *commands: Sequence[str]) -> Exit:
    """Run ``spec11-engine ops`` with each of ``commands``, piped; return the exits."""
    shim = stack.fill_process("api")
    program = shim.command[:-1]
    line = " | ".join(
        shlex.join([*program, "ops", *words, "--url", stack.api.base_url]) for words in commands
    )
    return stack.proc.run(["bash", "-c", f"set -o pipefail; {line}"], env=shim.env)
