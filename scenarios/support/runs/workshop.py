"""A private stack for runs that patch files: its workspace, and what its agents answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from pytest_spec11.canon import digest
from pytest_spec11.oracles.sql import Row
from pytest_spec11.stacks import Control, Stack, Stacks
from pytest_spec11.target import Process
from pytest_spec11.waiting import eventually
from scenarios.support.contract import identity
from scenarios.support.contract.headers import TERMINAL
from scenarios.support.contract.start_requests import reply, start
from scenarios.support.faults.crash_points import arm_process
from scenarios.support.faults.holds import PATIENT
from scenarios.support.runs.gates import start_run
from scenarios.support.runs.run_lifecycle import END_S, PARK_S, await_status

PLACES: Final = {"SPEC11_WORKSPACE": "{stack.dir}/workspace", "OC_FIXTURES_DIR": "{stack.dir}/oc"}
BY = {"actor": "qa", "reason": "drill"}
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


class Workshop:
    """A private stack whose plans may change files in ``jail``; its worker can be replaced."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        env = self.worker.env
        self.root = Path(env["SPEC11_WORKSPACE"]).resolve()
        self._answers = Path(env["OC_FIXTURES_DIR"])
        for directory in (self.jail, self._answers):
            directory.mkdir(parents=True, exist_ok=True)

    @property
    def jail(self) -> Path:
        """The one directory in which plans may change files."""
        return self.root / ".tmp"

    @property
    def worker(self) -> Process:
        """Its worker, as it would be started."""
        return self.stack.fill_process("worker")

    def make_directory(self, topic: str) -> Path:
        """An empty directory in the jail for runs about ``topic``."""
        made = self.jail / topic
        made.mkdir()
        return made

    def set_plan(self, topic: str, *patches: tuple[str, str]) -> None:
        """Runs about ``topic`` want each path to hold its text."""
        wishes = [
            {"targetPath": path, "postimageContent": text, "diffText": f"to {text[:20]}"}
            for path, text in patches
        ]
        plan = {"design": [], "files": [], "risks": [], "tests": [], "patchPlan": wishes}
        self._record_answer({"agent": "plan", "inputs": {"topic": topic}}, plan)

    def set_build(self, topic: str, command: str, *tests: str) -> None:
        """Runs about ``topic`` execute the command, once for each of the tests."""
        answer = {"patch": [], "tests": list(tests), "test_command": command}
        self._record_answer({"agent": "build", "inputs": {"topic": topic}}, answer)

    def set_answer(self, agent: str, recipe_id: str, **structured: Any) -> None:
        """From now on ``agent`` says just that to every question about v1 of the recipe."""
        self._record_answer({"agent": agent, "recipe": {"id": recipe_id, "v": "v1"}}, structured)

    def _record_answer(self, match: dict[str, Any], structured: dict[str, Any]) -> None:
        answer = {"structured": structured, "tools": []}
        recorded = {"schemaVersion": 1, "match": match, "answer": answer}
        staged = self._answers / f"{digest(match)[:16]}.staged"  # whole before it is an answer
        staged.write_text(json.dumps(recorded), encoding="utf-8")
        staged.rename(staged.with_suffix(".json"))

    def start_run(self, topic: str, *patches: tuple[str, str], **opts: Any) -> str:
        """The workflow id of a new run that is about to patch."""
        self.set_plan(topic, *patches)
        body = start(f"patches about {topic}", form={"topic": topic}, **opts)
        wid: str = self.stack.api.post("/api/run", json=body).json()["workflowID"]
        return wid

    def start_patching(self, goal: str, path: Path, text: str) -> str:
        """The workflow id of a run just started whose plan wants ``path`` to hold ``text``."""
        self.set_plan(goal, (str(path), text))
        return start_run(self.stack.api, goal, topic=goal)

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

    def spawn_dying(self, point: str) -> Control:
        """A worker just begun that dies at ``point``."""
        worker = self.stack.process("worker")
        assert not worker.alive
        return self.stack.spawn(arm_process(self.worker, point))

    @contextmanager
    def replace_worker(self, worker: Process) -> Iterator[Control]:
        """While the block runs, ``worker`` works here alone; after it the stack's own one does."""
        own = self.stack.process("worker")
        own.stop()
        other = self.stack.spawn(worker)
        try:
            yield other
        finally:
            other.stop()
            own.start()

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

    def await_writer(self) -> None:
        """Somebody waits there now."""
        eventually(lambda: bool(self.stack.admin.execute(WAITING)), deadline_s=PARK_S)

    def end_writers(self) -> None:
        """Whoever waits there is ended, and what it was doing never was."""
        assert self.stack.admin.execute(CUT.format(waiting=WAITING)) != []


@contextmanager
def workshop(stacks: Stacks) -> Iterator[Workshop]:
    """A workshop with its own worker at work."""
    with stacks.start(only=("api",), env=PLACES | PATIENT) as stack:
        made = Workshop(stack)
        stack.process("worker").start()
        yield made
