"""A real api-shim process for a test: how to start it, talk to it and look at its database."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import httpx
import psycopg
from psycopg.rows import dict_row

from pytest_spec11.waiting import GIVE_UP_S

PROGRAM = """
import sys
from engine import shim
from engine.config import Config
config = Config.from_env()
code = shim.serve(config, config.database.dsn)
heavy = {"dbos", "sqlalchemy"} & sys.modules.keys()
sys.exit(f"loaded {heavy}" if heavy else code)
"""


@dataclass(frozen=True, slots=True)
class Shim:
    """A running api-shim: how to talk to it, its database and its process."""

    http: httpx.Client
    dsn: str
    process: subprocess.Popen[str]

    def start(self, goal: str, **opts: object) -> httpx.Response:
        """A start of ``compile-default@v1``."""
        return self.http.post("/api/run", json=start_body(goal, **opts))

    def park_run(self, goal: str, *, ttl_s: int = 3600) -> tuple[str, str]:
        """Workflow id and gate key of a new run that waits at its approval gate."""
        wid = self.start(goal).json()["workflowID"]
        key = "approve-plan-0123456789abcdef"
        with psycopg.connect(self.dsn) as db:
            db.execute(
                "UPDATE app.runs SET status = 'waiting_input' WHERE workflow_id = %s", (wid,)
            )
            db.execute(GATE, {"wid": wid, "key": key, "ttl": ttl_s})
        return wid, key

    def rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        """What ``query`` finds."""
        with psycopg.connect(self.dsn, row_factory=dict_row) as db:
            return db.execute(query.encode(), values).fetchall()

    def run(self, statement: str, *values: object) -> None:
        """Plant what a test needs."""
        with psycopg.connect(self.dsn) as db:
            db.execute(statement.encode(), values)

    def digest(self) -> str:
        """One hash over every row of both schemas, ``xmin`` included."""
        with psycopg.connect(self.dsn) as db:
            names = db.execute(TABLES).fetchall()
            found = [
                (name, db.execute(f"SELECT xmin, t::text FROM {name} t ORDER BY 2".encode()))  # noqa: S608  # names from the catalogue
                for (name,) in names
            ]
            return sha256(repr([(n, rows.fetchall()) for n, rows in found]).encode()).hexdigest()


TABLES = """
SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables
WHERE schemaname IN ('app', 'dbos') ORDER BY 1
"""
GATE = """
INSERT INTO app.human_gates (run_id, gate_key, workflow_id, topic, listen_topic, step_id, purpose,
                             prompt, created_at, deadline_at)
SELECT id, %(key)s, workflow_id, 'human:' || %(key)s, 'human:' || %(key)s, 'ApplyPatchST',
       'approve-plan',
       jsonb_build_object('schemaVersion', 1, 'ttlS', %(ttl)s::int, 'createdAt', 0,
                          'deadlineAt', 0, 'uiHints', null, 'defaults', null, 'formSchema',
                          '{"v": 1, "title": "Approve?", "fields": [
                             {"k": "choice", "t": "enum", "vs": ["yes", "no"]},
                             {"k": "rationale", "t": "str", "opt": true}]}'::jsonb),
       now(), now() + make_interval(secs => %(ttl)s)
FROM app.runs WHERE workflow_id = %(wid)s
"""


def start_body(goal: str, **opts: object) -> dict[str, Any]:
    """The body of a start of ``compile-default@v1``."""
    return {
        "recipeRef": {"id": "compile-default", "v": "v1"},
        "formData": {"goal": goal},
        "opts": {"queuePartitionKey": "acme", **opts},
    }


@contextmanager
def running_shim(dsn: str, before: str = "", **env: str) -> Iterator[Shim]:
    """A real api-shim process on ``dsn`` that ran ``before``; it must end with exit 0."""
    process = subprocess.Popen(  # noqa: S603  # our own words only
        [sys.executable, "-c", before + PROGRAM],
        env={**os.environ, "SPEC11_DSN": dsn, "PORT": "0", **env},  # noqa: TID251  # the child's
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().removeprefix("listening on ").strip()
        with httpx.Client(base_url=url, timeout=GIVE_UP_S) as http:
            yield Shim(http, dsn, process)
        process.terminate()
        assert process.wait(GIVE_UP_S) == 0
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
