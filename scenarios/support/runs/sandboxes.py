"""Runs whose tasks are commands that a test gives, on a private stack with a sandbox of its own."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_spec11.oracles.sql import Row
from pytest_spec11.stacks import Stack, Stacks
from pytest_spec11.waiting import eventually
from scenarios.support.contract import identity
from scenarios.support.faults.crash_points import await_end
from scenarios.support.runs.gates import start_run
from scenarios.support.runs.run_lifecycle import PARK_S, await_status

LOCAL = {"SBX_MODE": "live", "SBX_PROVIDER": "local", "SBX_ALT_PROVIDER_ENABLED": "true"}
E2B = {"SBX_MODE": "live", "SBX_PROVIDER": "e2b"}
MICROSANDBOX = {**LOCAL, "SBX_PROVIDER": "microsandbox"}
SECRETS = {
    "SPEC11_WEBHOOK_SECRET": "webhooks-of-the-sandbox",
    "E2B_API_KEY": "e2b-of-the-sandbox",
}
NARROW = {
    "SBX_DEFAULT_TIMEOUT_MS": "30000",
    "SBX_LOCAL_CPU_S": "1",
    "SBX_MEMORY_MB": "64",
    "SBX_LOCAL_FILE_MB": "1",
    "SBX_LOCAL_PROCESSES": "24",
}
BUSY = "while :; do :; done"
HUNGRY = "head -c 1000000000 /dev/zero | tail"
ATTEMPTS = """
SELECT request ->> 'cmd' AS cmd, task_key, attempt, provider, err_code, response, metrics,
       created_at
FROM app.sbx_runs WHERE run_id = %(r)s ORDER BY cmd, attempt
"""
EXECUTED = """
SELECT attempt, output ->> 'errCode' AS code FROM app.run_steps
WHERE run_id = %(r)s AND step_id = 'ExecuteST'
"""


@dataclass(frozen=True)
class Bench:
    """A stack with a sandbox, the answers of its build agent, what its commands share with us."""

    stack: Stack
    answers: Path
    shared: Path

    def start_run(self, goal: str, *commands: str) -> str:
        """The workflow id of a run of these commands that waits for its approval."""
        if len(commands) == 1:
            return self.tests(goal, commands[0], [])
        return self.tests(goal, "true;", commands)

    def tests(self, goal: str, command: str, tests: Sequence[str]) -> str:
        """The same, of one test command and what it is given."""
        structured = {"patch": [], "tests": list(tests), "test_command": command}
        recorded = {
            "schemaVersion": 1,
            "match": {"agent": "build", "inputs": {"topic": goal}},
            "answer": {"structured": structured, "tools": []},
        }
        staged = self.answers / "staged"  # whole before it has the name of an answer
        staged.write_text(json.dumps(recorded), encoding="utf-8")
        staged.rename(self.answers / f"{len([*self.answers.iterdir()])}.json")
        wid = start_run(self.stack.api, goal, topic=goal)
        await_status(self.stack.api, wid, {"WAITING_INPUT"}, deadline_s=PARK_S)
        return wid

    def complete_run(self, goal: str, *commands: str) -> dict[str, Any]:
        """The header of a run of these commands, approved and at its end."""
        return await_end(self.stack, self.start_run(goal, *commands))

    def attempts(self, wid: str) -> list[Row]:
        """Every attempt of every command of the run that is on record."""
        return self.stack.app_sql.rows(ATTEMPTS, r=identity.run_id(wid))

    def await_rows(self, wid: str, count: int) -> list[Row]:
        """The same, once there are as many."""
        return eventually(
            lambda: self.attempts(wid), deadline_s=60, until=lambda rows: len(rows) >= count
        )

    def read_execution_rows(self, wid: str) -> list[Row]:
        """The rows of ExecuteST."""
        return self.stack.app_sql.rows(EXECUTED, r=identity.run_id(wid))


@contextmanager
def bench(stacks: Stacks, env: Mapping[str, str]) -> Iterator[Bench]:
    """A bench on a stack of its own, whose commands may write ``shared`` and nothing else."""
    with tempfile.TemporaryDirectory(prefix="bench-") as made:
        around = Path(made)
        answers, shared = around / "answers", around / "shared"
        answers.mkdir()
        shared.mkdir()
        shared.chmod(0o777)  # commands run as users of their own
        around.chmod(0o755)
        places = {"OC_FIXTURES_DIR": str(answers), "SBX_LOCAL_SHARED_DIR": str(shared)}
        with stacks.start(env={**places, **env}) as stack:
            yield Bench(stack, answers, shared)
