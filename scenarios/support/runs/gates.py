"""Gates as clients and SQL see them: how runs come to them, and all that is kept of one."""

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
BLUE = {"answer": "blue"}  # what a question is answered
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
    """One place where the run of ``wid`` waits for a person."""

    wid: str
    key: str

    @property
    def run_id(self) -> str:
        """The run's other name."""
        return identity.run_id(self.wid)

    @property
    def topic(self) -> str:
        """Under which its answers are heard."""
        return f"human:{self.key}"

    @property
    def url(self) -> str:
        """Where the API shows it."""
        return f"/api/runs/{self.wid}/gates/{self.key}"

    def view(self, api: Api) -> dict[str, Any]:
        """It, as the API shows it."""
        found: dict[str, Any] = api.get(self.url).json()
        return found

    def say(self, api: Api, payload: Any, *, key: str = "qa-1", **more: Any) -> Reply:
        """The API's reply to an answer; ``more`` replaces parts of its body."""
        body = {**reply(key=key), "payload": payload, **more}
        return api.post(f"{self.url}/reply", json=body)

    def choose(self, api: Api, choice: str = "yes", *, key: str = "qa-1", **more: Any) -> Reply:
        """The API's reply to a yes or a no."""
        return self.say(api, {"choice": choice}, key=key, **more)

    def read_rows(self, app_sql: Sql) -> dict[str, Any]:
        """What schema app holds of it, and how many answers the ledger has for it."""
        return app_sql.one(KEPT, r=self.run_id, g=self.key)

    def read_events(self, sys_sql: Sql) -> dict[str, list[Any]]:
        """Every value that each of its four events ever had."""
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
    """The gate at which the plan of the run is approved, by the formula alone."""
    return Gate(wid, identity.gate_key(identity.run_id(wid)))


def waiting(api: Api, goal: str) -> Gate:
    """The gate of a run just started, once it waits there."""
    return approval(park_run(api, goal)["workflowID"])


def variant(stack: Stack, name: str, **constraints: Any) -> dict[str, str]:
    """A planted recipe, ``compile-default@v1`` but for the constraints."""
    spec = recipes.spec(stack.app_sql)
    spec["id"] = name
    spec["intentTmpl"]["constraints"] = constraints
    recipes.plant(stack, spec)
    return {"id": name, "v": spec["v"]}


def start_run(api: Api, goal: str, ref: dict[str, str] | None = None, **form: Any) -> str:
    """The workflow id of a run just started."""
    body = {**start(goal, form=form), "recipeRef": ref or RECIPE}
    wid: str = api.post("/api/run", json=body).json()["workflowID"]
    return wid


def await_gates(api: Api, wid: str) -> list[Gate]:
    """The gates at which the run waits, once it does, in the order of their creation."""
    await_status(api, wid, {"WAITING_INPUT"}, deadline_s=PARK_S)
    return pending(api, wid)


def pending(api: Api, wid: str) -> list[Gate]:
    """The gates of the run that nobody answered yet, in the order of their creation."""
    listed = api.get(f"/api/runs/{wid}/gates").json()
    return [Gate(wid, gate["gateKey"]) for gate in listed if gate["state"] == "PENDING"]


def await_end(api: Api, sys_sql: Sql, wid: str, deadline_s: float = END_S) -> dict[str, Any]:
    """The header of the run at its end, which the durable engine has seen, too."""
    header = await_status(api, wid, TERMINAL, deadline_s=deadline_s)
    await_terminal(lambda: words(sys_sql, ENGINE_WORDS, [wid]))
    return header


def await_terminal(read: Callable[[], dict[str, str]], deadline_s: float = END_S) -> dict[str, str]:
    """The words by workflow id, once all are terminal."""
    moving = {"ENQUEUED", "PENDING", "queued", "running", "repairing", "waiting_input"}
    return eventually(read, deadline_s=deadline_s, until=lambda seen: not moving & {*seen.values()})


def words(sql: Sql, query: str, wids: Iterable[str]) -> dict[str, str]:
    """What one schema says of the runs: each row of the query is an id and a word."""
    return dict(tuple(row.values()) for row in sql.rows(query, ids=list(wids)))


def outcomes(stack: Stack, wids: Iterable[str]) -> dict[str, tuple[str, str]]:
    """The word of schema app and that of schema dbos for each run, once both are terminal."""
    ids = list(wids)
    app = await_terminal(lambda: words(stack.app_sql, APP_WORDS, ids))
    engine = await_terminal(lambda: words(stack.sys_sql, ENGINE_WORDS, ids))
    return {wid: (app[wid], engine[wid]) for wid in ids}
