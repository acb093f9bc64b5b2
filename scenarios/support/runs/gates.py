"""Gates as clients and SQL see them: how runs reach them, and their rows and events."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pytest_spec11.oracles.http import Api, Reply
from pytest_spec11.oracles.sql import Sql
from pytest_spec11.stacks import Stack
from pytest_spec11.waiting import eventually
from scenarios.support.contract import identity, recipes
from scenarios.support.contract.headers import TERMINAL
from scenarios.support.contract.start_requests import RECIPE, reply, start
from scenarios.support.runs.run_lifecycle import END_S, PARK_S, await_status, park_run

APPROVAL_FORM = {
    "v": 1,
    "title": "Approve?",
    "fields": [
        {"k": "choice", "t": "enum", "vs": ["yes", "no"]},
        {"k": "rationale", "t": "str", "opt": True},
    ],
}
QUESTION_FORM = {"v": 1, "title": "Question", "fields": [{"k": "answer", "t": "str"}]}
BLUE = {"answer": "blue"}  # an answer to a question
KEPT = """
SELECT g.state, g.decision, g.result ->> 'state' AS result, g.result -> 'payload' AS payload,
       (SELECT count(*) FROM app.human_interactions i
        WHERE i.run_id = g.run_id AND i.gate_key = g.gate_key) AS answers
FROM app.human_gates g WHERE g.run_id = %(r)s AND g.gate_key = %(g)s
"""
TOLD = """
SELECT key, value FROM dbos.workflow_events_history
WHERE workflow_uuid = %(w)s AND key = ANY(%(keys)s) ORDER BY function_id
"""
APP_WORDS = "SELECT workflow_id, status FROM app.runs WHERE workflow_id = ANY(%(ids)s)"
ENGINE_WORDS = (
    "SELECT workflow_uuid, status FROM dbos.workflow_status WHERE workflow_uuid = ANY(%(ids)s)"
)
MESSAGES = "SELECT topic FROM dbos.notifications WHERE destination_uuid = ANY(%(ids)s)"


@dataclass(frozen=True)
class Gate:
    """One gate of the run ``wid``."""

    wid: str
    key: str

    @property
    def run_id(self) -> str:
        """The run id."""
        return identity.run_id(self.wid)

    @property
    def topic(self) -> str:
        """The topic of its answers."""
        return f"human:{self.key}"

    @property
    def url(self) -> str:
        """Where the API shows it."""
        return f"/api/runs/{self.wid}/gates/{self.key}"

    def view(self, api: Api) -> dict[str, Any]:
        """The gate in the API."""
        found: dict[str, Any] = api.get(self.url).json()
        return found

    def say(self, api: Api, payload: Any, *, key: str = "qa-1", **more: Any) -> Reply:
        """Send an answer; return the API's reply. ``more`` replaces parts of the body."""
        body = {**reply(key=key), "payload": payload, **more}
        return api.post(f"{self.url}/reply", json=body)

    def choose(self, api: Api, choice: str = "yes", *, key: str = "qa-1", **more: Any) -> Reply:
        """Send a yes or a no; return the API's reply."""
        return self.say(api, {"choice": choice}, key=key, **more)

    def read_rows(self, app_sql: Sql) -> dict[str, Any]:
        """Its row in schema app, and the number of its answers in the ledger."""
        return app_sql.one(KEPT, r=self.run_id, g=self.key)

    def read_events(self, sys_sql: Sql) -> dict[str, list[Any]]:
        """All values of each of its four events."""
        words = {
            f"ui:{self.key}": "prompt",
            f"ui:{self.key}:result": "result",
            f"ui:{self.key}:audit": "audit",
            f"decision:{self.key}": "decision",
        }
        told: dict[str, list[Any]] = {word: [] for word in words.values()}
        for row in sys_sql.rows(TOLD, w=self.wid, keys=list(words)):
            told[words[row["key"]]].append(json.loads(row["value"]))
        return told


def approval(wid: str) -> Gate:
    """The approval gate of the run, from the formula alone."""
    return Gate(wid, identity.gate_key(identity.run_id(wid)))


def waiting(api: Api, goal: str) -> Gate:
    """Start a run and wait until it is at its gate; return the gate."""
    return approval(park_run(api, goal)["workflowID"])


def variant(stack: Stack, name: str, **constraints: Any) -> dict[str, str]:
    """Plant a copy of ``compile-default@v1`` with other constraints."""
    spec = recipes.spec(stack.app_sql)
    spec["id"] = name
    spec["intentTmpl"]["constraints"] = constraints
    recipes.plant(stack, spec)
    return {"id": name, "v": spec["v"]}


def start_run(api: Api, goal: str, ref: dict[str, str] | None = None, **form: Any) -> str:
    """Start a run; return its workflow id."""
    body = {**start(goal, form=form), "recipeRef": ref or RECIPE}
    wid: str = api.post("/api/run", json=body).json()["workflowID"]
    return wid


def await_gates(api: Api, wid: str) -> list[Gate]:
    """Wait until the run waits; return its gates in the order of their creation."""
    await_status(api, wid, {"WAITING_INPUT"}, deadline_s=PARK_S)
    return pending(api, wid)


def pending(api: Api, wid: str) -> list[Gate]:
    """The run's gates without an answer, in the order of their creation."""
    listed = api.get(f"/api/runs/{wid}/gates").json()
    return [Gate(wid, gate["gateKey"]) for gate in listed if gate["state"] == "PENDING"]


def await_end(api: Api, sys_sql: Sql, wid: str, deadline_s: float = END_S) -> dict[str, Any]:
    """Wait until the run has ended in both schemas; return the header."""
    header = await_status(api, wid, TERMINAL, deadline_s=deadline_s)
    await_terminal(lambda: words(sys_sql, ENGINE_WORDS, [wid]))
    return header


def await_terminal(read: Callable[[], dict[str, str]], deadline_s: float = END_S) -> dict[str, str]:
    """Wait until all statuses are terminal; return them by workflow id."""
    moving = {"ENQUEUED", "PENDING", "queued", "running", "repairing", "waiting_input"}
    return eventually(read, deadline_s=deadline_s, until=lambda seen: not moving & {*seen.values()})


def words(sql: Sql, query: str, wids: Iterable[str]) -> dict[str, str]:
    """The statuses of the runs in one schema; each row of the query is an id and a status."""
    return dict(tuple(row.values()) for row in sql.rows(query, ids=list(wids)))


def outcomes(stack: Stack, wids: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Wait until both schemas are terminal for each run; return the two statuses."""
    ids = list(wids)
    app = await_terminal(lambda: words(stack.app_sql, APP_WORDS, ids))
    engine = await_terminal(lambda: words(stack.sys_sql, ENGINE_WORDS, ids))
    return {wid: (app[wid], engine[wid]) for wid in ids}
