"""Runs that patch files: a workspace and plans of our own, on a private stack."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from pytest_spec11.oracles.sql import Row
from pytest_spec11.stacks import Control, Stack, Stacks
from pytest_spec11.waiting import eventually
from scenarios.support.contract import identity
from scenarios.support.contract.headers import TERMINAL
from scenarios.support.contract.start_requests import reply, start
from scenarios.support.faults.crash_points import arm_process
from scenarios.support.runs.run_lifecycle import END_S, PARK_S, await_status

BY = {"actor": "qa", "reason": "drill"}
NO = "Plan approval failed: no"
# Where a worker may die over patches alone.
WRITING = ("worker.patch.begun", "worker.patch.written")
TAKING_BACK = ("worker.TakeBack.before", "worker.patch.restored", "worker.TakeBack.after")
HISTORY = """
SELECT patch_index, attempt, target_path, preimage_hash, postimage_hash, diff_hash, preimage_content, postimage_content,
       created_at, applied_at, rolled_back_at, rolled_back_for
FROM app.patch_history WHERE run_id = %(r)s ORDER BY attempt, patch_index
"""  # noqa: E501  # one statement
HOLD = """
CREATE FUNCTION public.hold() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_advisory_lock({key}), pg_advisory_unlock({key}); RETURN NEW; END $$;
CREATE TRIGGER hold BEFORE {event} ON {table} FOR EACH ROW WHEN ({when})
EXECUTE FUNCTION public.hold()
"""
LET_GO = "DROP FUNCTION IF EXISTS public.hold CASCADE"
WAITING = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock' AND wait_event = 'advisory'
"""
CUT = "SELECT pg_terminate_backend(pid, 5000) FROM ({waiting}) AS waiting"
KEY = 13


@dataclass(frozen=True)
class Workshop:
    """A private stack whose workers write below ``root``, and read plans from ``fixtures``."""

    stack: Stack
    root: Path
    fixtures: Path

    @property
    def jail(self) -> Path:
        """Where patches may be written."""
        return self.root / ".tmp"

    @property
    def env(self) -> dict[str, str]:
        """What makes a worker one of this workshop."""
        return {"SPEC11_WORKSPACE": str(self.root), "OC_FIXTURES_DIR": str(self.fixtures)}

    def own(self, topic: str) -> Path:
        """An empty directory in the jail for runs about ``topic``."""
        made = self.jail / topic
        made.mkdir()
        return made

    def plan(self, topic: str, *patches: tuple[str, str]) -> None:
        """Runs about ``topic`` want each path to hold its text."""
        wishes = [
            {"targetPath": path, "postimageContent": text, "diffText": f"to {text[:20]}"}
            for path, text in patches
        ]
        structured = {"design": [], "files": [], "risks": [], "tests": [], "patchPlan": wishes}
        fixture = {
            "schemaVersion": 1,
            "match": {"agent": "plan", "inputs": {"topic": topic}},
            "answer": {"structured": structured, "tools": []},
        }
        (self.fixtures / f"{topic}.json").write_text(json.dumps(fixture), encoding="utf-8")

    def build(self, topic: str, command: str, *tests: str) -> None:
        """Runs about ``topic`` execute the command, once for each of the tests."""
        answer = {"patch": [], "tests": list(tests), "test_command": command}
        fixture = {
            "schemaVersion": 1,
            "match": {"agent": "build", "inputs": {"topic": topic}},
            "answer": {"structured": answer, "tools": []},
        }
        (self.fixtures / f"{topic}.build.json").write_text(json.dumps(fixture), encoding="utf-8")

    def start_run(self, topic: str, *patches: tuple[str, str], **opts: Any) -> str:
        """The workflow id of a new run that is about to patch."""
        self.plan(topic, *patches)
        body = start(f"patches about {topic}", form={"topic": topic}, **opts)
        wid: str = self.stack.api.post("/api/run", json=body).json()["workflowID"]
        return wid

    def park_run(self, topic: str, *patches: tuple[str, str], **opts: Any) -> str:
        """The workflow id of a new run that has patched and waits for a person."""
        wid = self.start_run(topic, *patches, **opts)
        await_status(self.stack.api, wid, {"WAITING_INPUT"}, deadline_s=PARK_S)
        return wid

    def answer(self, wid: str, choice: str) -> None:
        """``choice`` is accepted at the run's newest gate."""
        gate = self.stack.api.get(f"/api/runs/{wid}/gates").json()[-1]["gateKey"]
        path = f"/api/runs/{wid}/gates/{gate}/reply"
        assert self.stack.api.post(path, json=reply(choice)).status == 200

    def await_end(self, wid: str) -> dict[str, Any]:
        """The header of the run once it has ended."""
        return await_status(self.stack.api, wid, TERMINAL, deadline_s=END_S)

    def await_failure(self, wid: str) -> str:
        """What the run says that it failed of."""
        header = self.await_end(wid)
        assert (header["status"], header["durableStatus"]) == ("ERROR", "retries_exceeded")
        return str(header["error"]["message"])

    def act(self, wid: str, operation: str) -> None:
        """The operation on the run's workflow is accepted."""
        path = f"/api/ops/wf/{wid}/{operation}"
        assert self.stack.api.post(path, json=BY).status == 202

    def history(self, wid: str) -> list[Row]:
        """Every patch of every attempt, by attempt and index."""
        return self.stack.app_sql.rows(HISTORY, r=identity.run_id(wid))

    def await_rollback(self, wid: str) -> None:
        """All that the run wrote is marked as taken back."""
        eventually(
            lambda: self.history(wid),
            deadline_s=END_S,
            until=lambda rows: all(row["rolled_back_at"] for row in rows),
        )

    def dying(self, point: str) -> Control:
        """A worker just begun that dies at ``point``."""
        worker = self.stack.process("worker")
        assert not worker.alive
        process = self.stack.fill_process("worker").using(self.env)
        return self.stack.spawn(arm_process(process, point))

    @contextmanager
    def hold_writers(
        self, event: str, when: str = "true", table: str = "app.patch_history"
    ) -> Iterator[None]:
        """Whoever writes the table by ``event`` waits until the block ends, and goes on then."""
        admin = self.stack.admin
        try:
            with admin.holding(KEY):
                admin.execute(HOLD.format(key=KEY, event=event, when=when, table=table))
                yield
        finally:
            admin.execute(LET_GO)

    def somebody_waits(self) -> None:
        """Somebody waits there now."""
        eventually(lambda: bool(self.stack.admin.execute(WAITING)), deadline_s=PARK_S)

    def cut(self) -> None:
        """Whoever waits there is ended, and what it was doing never was."""
        assert self.stack.admin.execute(CUT.format(waiting=WAITING)) != []


@contextmanager
def workshop(stacks: Stacks, directory: Path) -> Iterator[Workshop]:
    """A workshop below ``directory``, ready, its jail empty."""
    root, fixtures = (directory / "workspace").resolve(), directory / "plans"
    (root / ".tmp").mkdir(parents=True)
    fixtures.mkdir()
    env = {"SPEC11_WORKSPACE": str(root), "OC_FIXTURES_DIR": str(fixtures)}
    with stacks.start(env=env) as stack:
        yield Workshop(stack, root, fixtures)


def column(rows: list[Row], name: str) -> list[Any]:
    """One column of the rows."""
    return [row[name] for row in rows]


def attempts(rows: list[Row]) -> list[tuple[int, int, str | None]]:
    """Index, attempt and why it was taken back, of each row."""
    return [(row["patch_index"], row["attempt"], row["rolled_back_for"]) for row in rows]


def chronological(rows: list[Row]) -> bool:
    """Whether the times of one attempt that was taken back are in order, within and across rows.

    What was written first was written before the next, and is taken back after it.
    """
    applied, back = column(rows, "applied_at"), column(rows, "rolled_back_at")
    within = all(row["created_at"] <= row["applied_at"] <= row["rolled_back_at"] for row in rows)
    return within and all(a < b for a, b in [*pairwise(applied), *pairwise(reversed(back))])
