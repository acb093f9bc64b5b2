"""Every SQL statement of the engine, run once on a seeded database, with what it read there.

Each runs in a transaction that is taken back. Values of its parameters are found by their names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final

import psycopg
from psycopg.rows import dict_row, scalar_row

from engine.core import workflows
from engine.store import sql

DIGEST: Final = "a" * 64
LARGEST_PAGE: Final = 200
PARAMETER: Final = re.compile(r"%\((\w+)\)s")
NOUNS: Final = sorted(
    item.name.removesuffix(".sql")
    for item in resources.files(sql).iterdir()
    if item.name.endswith(".sql")
)
# Settings of a transaction: there is no plan of them.
STATEMENTS: Final = {
    f"{noun}.{name}": text
    for noun in NOUNS
    for name, text in sql.load(noun).items()
    if not text.startswith("SET ")
}
# Of what no statement's cost depends on.
ANYTHING: Final[Mapping[str, Any]] = {
    "after": 0, "age_s": 86_400.0, "agent": "plan", "app_version": "bench", "artifacts": "[]",
    "at": "2026-01-01T00:00:00Z", "attempt": 1, "before": "2020-01-01T00:00:00Z",
    "budget": None, "calls": "[]", "class": 1,
    "compensation_id": "comp:seed", "decision": "yes", "dedupe_key": "seed-again",
    "deps_hash": DIGEST, "diff_hash": DIGEST, "dirs_made": 0, "environment": "{}",
    "err_code": "NONE", "error": "seed", "executor_id": "w1", "findings": "[]", "fixture": "{}",
    "fixture_id": "seed", "fixtures": "[]", "fork_id": "fork_seed", "fork_run_id": "run_seed",
    "frozen_s": 5.0, "function_id": 77, "gate_ttl_s": 60, "gates": "[]", "goal": "seed",
    "hash": DIGEST, "hashes": [DIGEST], "idx": 77, "incarnation": "seed", "inline": "{}",
    "intent": "{}", "intent_hash": DIGEST, "kind": "none", "lane": "batch", "last_step": None,
    "limit": LARGEST_PAGE, "listen_topic": "human:seed", "mark": "seed", "metrics": "{}",
    "missed_s": 1.0, "moves": True, "name": "RunIntent", "named_args": "{}",
    "names": ["intentQ", "sbxQ", "controlQ", "compileQ"], "next_action": None, "origin": "manual",
    "other": "w0", "output": "{}", "patch_index": 0, "payload": "{}", "payload_hash": DIGEST,
    "phase": "planning", "pid": 1, "postimage_content": "", "postimage_hash": DIGEST,
    "prefix": "promote:seed", "preimage_content": None, "preimage_hash": None, "priority": 1,
    "promotion_id": "promote:seed:1", "prompt": "seed", "provider": "mock", "queue": "intentQ",
    "queue_name": "intentQ", "queue_partition_key": "seed", "reason": None, "receipts": "[]",
    "recipe_hash": DIGEST, "recipe_id": "compile-default", "recipe_v": "v1", "request": "{}",
    "response": "{}", "round": 1, "schema_hash": DIGEST, "served_by": "none",
    "server_version": None, "session": "spec11-worker-none", "session_id": None, "settled_s": 5.0,
    "sha256": DIGEST, "sleep_s": 1.0, "spec": "{}", "start": 3,
    "started_at": "2026-01-01T00:00:00Z", "state": "RESOLVED", "status": "SUCCESS",
    "step_id": "CompileST", "steps": ["CompileST"], "still_s": 1.5, "structured": None,
    "target_path": "/none", "template_id": None, "template_key": "seed", "tenant_id": None,
    "timeout_ms": None, "tool_calls": "[]", "topic": "human:seed", "trace_id": None, "v": "v1",
    "application": "spec11", "began_ms": 1, "ended_ms": 2, "number": 77, "owner": "seed",
    "why": "failure", "word": None, "workflow_name": "RunIntent", "workload": None,
}  # fmt: skip
# Of a run that waits for a person: every table knows it but those of tasks.
OF_A_RUN: Final = """
SELECT r.id AS run_id, r.workflow_id, g.gate_key, c.op_key, a.uri
FROM app.runs r
JOIN app.human_gates g ON g.run_id = r.id
JOIN app.opencode_calls c ON c.run_id = r.id
JOIN app.artifacts a ON a.run_id = r.id
WHERE r.id = (SELECT id FROM app.runs WHERE status = 'waiting_input'
              ORDER BY created_at LIMIT 1 OFFSET 7)
LIMIT 1
"""
NOT_BEGUN: Final = "SELECT id FROM app.runs WHERE status = 'queued' LIMIT 1"
OF_A_TASK: Final = "SELECT run_id, task_key FROM app.sbx_runs ORDER BY created_at LIMIT 1 OFFSET 7"
# The kinds of list: of one status or name, of one that is rare, of one that none has.
LISTS: Final = tuple(
    {"status": status, "name": name}
    for status in (None, "SUCCESS", "ENQUEUED", "PENDING", "ERROR", "DELAYED", "NO-SUCH")
    for name in (None, "RunIntent", "RunTask", "PromoteRecipe")
    if status or name
)

VARIANTS: Final[Mapping[str, tuple[Mapping[str, Any], ...]]] = {
    "executors.take_over": ({}, {"other": "w0"}),
    "ops.fork_run": ({"fork_run_id": "run_seed"},),
    "ops.list": LISTS,
    "ops.resume_engine": ({"run": workflows.RUN, "task": workflows.TASK},),
    "runs.start": ({"workflow_id": f"ih_{DIGEST}", "id": "run_seed"},),
    "templates.register": (
        {"template_id": "seed", "template_key": f"compile-default:v1:{DIGEST}"},
    ),
}


@dataclass(frozen=True, slots=True)
class Scan:
    """One look at a table in a plan: how, at what, and how many rows it read."""

    kind: str
    table: str
    rows: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What a statement did: every table it looked at, and how long it took."""

    scans: tuple[Scan, ...]
    ms: float

    @property
    def rows(self) -> int:
        """All rows that it read."""
        return sum(scan.rows for scan in self.scans)


def find_examples(db: psycopg.Connection[Any]) -> Mapping[str, Any]:
    """A value for every parameter, by its name."""
    with db.cursor(row_factory=dict_row) as rows:
        run, task = rows.execute(OF_A_RUN).fetchone(), rows.execute(OF_A_TASK).fetchone()
        fresh = rows.execute(NOT_BEGUN).fetchone()
    if run is None or task is None or fresh is None:
        raise ValueError("this database is not seeded")
    wid = run["workflow_id"]
    own = {
        "execution_id": wid, "wid": wid, "intent_id": wid, "ids": [wid], "known": [wid],
        "workflow_ids": [wid], "run_ids": [run["run_id"]], "gate_keys": [run["gate_key"]],
        "id": "compile-default", "other": "w-none", "owners": [run["run_id"]], "words": [wid],
        "intent_ids": [wid],
    }  # fmt: skip
    return {**ANYTHING, **run, **own, "task_key": task["task_key"], "fork_run_id": fresh["id"]}


def list_variants(name: str) -> tuple[Mapping[str, Any], ...]:
    """Values of a statement's own: those with which it does what it is for."""
    return VARIANTS.get(name, ({},))


def explain(db: psycopg.Connection[Any], text: str, values: Mapping[str, Any]) -> Plan:
    """Run the statement, and take back what it did. Raises KeyError for an unknown parameter."""
    used = {name: values[name] for name in PARAMETER.findall(text)}
    with db.cursor(row_factory=scalar_row) as rows, db.transaction(force_rollback=True):
        rows.execute(f"EXPLAIN (ANALYZE, VERBOSE, FORMAT JSON) {text.rstrip(';')}".encode(), used)
        return _read(rows.fetchone())


def explain_generic(db: psycopg.Connection[Any], text: str) -> Plan:
    """The plan that the server may keep for all values; nothing is run."""
    numbers = {name: at for at, name in enumerate(dict.fromkeys(PARAMETER.findall(text)), 1)}
    bare = PARAMETER.sub(lambda match: f"${numbers[match[1]]}", text).replace("%%", "%")
    with db.cursor(row_factory=scalar_row) as rows:
        rows.execute(f"EXPLAIN (GENERIC_PLAN, VERBOSE, FORMAT JSON) {bare.rstrip(';')}".encode())
        return _read(rows.fetchone())


def _read(explained: Any) -> Plan:
    (found,) = explained
    return Plan(tuple(_scans(found["Plan"])), found.get("Execution Time", 0.0))


def _scans(node: Mapping[str, Any]) -> Iterator[Scan]:
    if "Relation Name" in node and node["Node Type"] != "ModifyTable":
        read = sum(
            node.get(each, 0)
            for each in ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck")
        )
        table = f"{node.get('Schema', '')}.{node['Relation Name']}"
        yield Scan(node["Node Type"], table, round(read * node.get("Actual Loops", 1)))
    for child in node.get("Plans", ()):
        yield from _scans(child)
