"""A workspace, plans that patch it, and a real api-shim with workers on both."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import psycopg

from pytest_spec11.waiting import GIVE_UP_S, eventually
from tests.engine.lives import BY, wait_for_status
from tests.engine.shim_process import Shim
from tests.engine.worker_process import Worker, running_worker

HOLD = 77  # the advisory lock behind which a planted trigger waits
WAITING = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock' AND wait_event = 'advisory'
"""
COMPENSATIONS = "SELECT status FROM dbos.workflow_status WHERE workflow_uuid LIKE %s"
HISTORY = """
SELECT patch_index, attempt, target_path, preimage_hash, postimage_hash, diff_hash,
       preimage_content, postimage_content, created_at, applied_at, rolled_back_at, rolled_back_for
FROM app.patch_history
WHERE run_id = (SELECT id FROM app.runs WHERE workflow_id = %s)
ORDER BY attempt, patch_index
"""


@dataclass(frozen=True, slots=True)
class Lab:
    """One api-shim, a workspace for its workers and their fixtures."""

    shim: Shim
    root: Path
    fixtures: Path

    @classmethod
    def empty(cls, shim: Shim, directory: Path) -> Self:
        """A lab whose workspace, below ``directory``, has an empty jail."""
        made = cls(shim, (directory / "workspace").resolve(), directory / "fixtures")
        made.jail.mkdir(parents=True)
        made.fixtures.mkdir()
        return made

    @property
    def jail(self) -> Path:
        """Where patches may be written."""
        return self.root / ".tmp"

    @contextmanager
    def worker(self, executor_id: str = "w0", **env: str) -> Iterator[Worker]:
        """A worker of the workspace."""
        env |= {"SPEC11_WORKSPACE": str(self.root), "OC_FIXTURES_DIR": str(self.fixtures)}
        with running_worker(self.shim.dsn, executor_id, **env) as worker:
            yield worker

    def plan(self, topic: str, *patches: tuple[str, str]) -> None:
        """Runs about ``topic`` patch: each path is to hold its text."""
        wishes = [
            {"targetPath": path, "postimageContent": text, "diffText": f"+{text}"[:200_000]}
            for path, text in patches
        ]
        structured = {"design": [], "files": [], "risks": [], "tests": [], "patchPlan": wishes}
        fixture = {
            "schemaVersion": 1,
            "match": {"agent": "plan", "inputs": {"topic": topic}},
            "answer": {"structured": structured, "tools": []},
        }
        (self.fixtures / f"{len(list(self.fixtures.iterdir()))}.json").write_text(
            json.dumps(fixture), encoding="utf-8"
        )

    def start_largest(self, topic: str, count: int, size: int) -> str:
        """The workflow id of a new run with ``count`` patches of ``size`` characters each."""
        self.plan(topic, *((f".tmp/{topic}/{n}", f"{n:02}" * (size // 2)) for n in range(count)))
        return self.start(topic)

    def start(self, topic: str) -> str:
        """The workflow id of a new run about ``topic``."""
        body = {
            "recipeRef": {"id": "compile-default", "v": "v1"},
            "formData": {"goal": f"patches: {topic}", "topic": topic},
            "opts": {"queuePartitionKey": "acme"},
        }
        wid: str = self.shim.http.post("/api/run", json=body).json()["workflowID"]
        return wid

    def park_run(self, topic: str, *patches: tuple[str, str]) -> str:
        """The workflow id of a new run that has patched and waits for a person."""
        self.plan(topic, *patches)
        wid = self.start(topic)
        wait_for_status(self.shim, wid, "WAITING_INPUT")
        return wid

    def read_failure(self, wid: str) -> str:
        """What the run said when it failed."""
        return str(wait_for_status(self.shim, wid, "ERROR")["error"]["message"])

    def act(self, wid: str, op: str) -> None:
        """The operation is accepted."""
        assert self.shim.http.post(f"/api/ops/wf/{wid}/{op}", json=BY).status_code == 202

    def wait_until_compensated(self, wid: str, word: str = "SUCCESS") -> None:
        """The one compensation of the run has ended so."""
        eventually(
            lambda: [row["status"] for row in self.shim.rows(COMPENSATIONS, f"comp:{wid}:%")],
            deadline_s=20,
            until=lambda seen: seen == [word],
        )

    def history(self, wid: str) -> list[dict[str, Any]]:
        """Every patch of every attempt, by attempt and index."""
        return self.shim.rows(HISTORY, wid)

    def files(self) -> dict[str, bytes | None]:
        """Everything below the jail by relative path; None for a directory."""
        return {
            str(path.relative_to(self.jail)): path.read_bytes() if path.is_file() else None
            for path in sorted(self.jail.rglob("*"))
        }

    @contextmanager
    def dying(self, point: str) -> Iterator[None]:
        """A worker that dies at ``point``; what the block does has to lead it there."""
        with self.worker(SPEC11_CRASH_AT=point) as worker:
            yield
            assert worker.process.wait(GIVE_UP_S) == -signal.SIGKILL

    @contextmanager
    def hold_column(self, column: str, index: int | None = None) -> Iterator[None]:
        """Whoever sets ``column`` of a patch (or of the one) waits, until the block ends.

        Whoever waits at its end is ended, and what it was doing never was.
        """
        with psycopg.connect(self.shim.dsn, autocommit=True) as db:
            db.execute("SELECT pg_advisory_lock(%s)", (HOLD,))
            db.execute(
                "CREATE FUNCTION app.hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                f" PERFORM pg_advisory_lock({HOLD}); RETURN NEW; END $$".encode()
            )
            db.execute(
                f"CREATE TRIGGER hold BEFORE UPDATE OF {column} ON app.patch_history FOR EACH ROW"
                f" {'' if index is None else f'WHEN (NEW.patch_index = {index})'}"
                " EXECUTE FUNCTION app.hold()".encode()
            )
            try:
                yield
            finally:
                pids = [pid for (pid,) in db.execute(WAITING).fetchall()]
                db.execute("SELECT pg_terminate_backend(pid, 5000) FROM unnest(%s) pid", (pids,))
                # Who came again meanwhile waits for the lock and keeps the table: it goes on first.
                db.execute("SELECT pg_advisory_unlock(%s)", (HOLD,))
                db.execute("DROP TRIGGER hold ON app.patch_history")
                db.execute("DROP FUNCTION app.hold")

    def somebody_waits(self) -> None:
        """Somebody waits behind the trigger now."""
        eventually(lambda: bool(self.shim.rows(WAITING)), deadline_s=20)


def column(rows: list[dict[str, Any]], name: str) -> list[Any]:
    """One column of the rows."""
    return [row[name] for row in rows]
