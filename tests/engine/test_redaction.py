"""Secrets and bodies are planted wherever they may be, and looked for wherever they must not be."""

from __future__ import annotations

import logging
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from engine.logs import FORMAT, Lines
from engine.postgres.server import EmbeddedServer, connect
from pytest_spec11.waiting import GIVE_UP_S, eventually
from tests.engine.processes import ENGINE, environment
from tests.engine.shim_process import start_body

CANARY = "c4n4ry"
SECRETS = {
    "SPEC11_API_TOKEN": f"operator-{CANARY}-0123456789,second-{CANARY}-0123456789",
    "SPEC11_READER_TOKEN": f"reader-{CANARY}-0123456789",
    "SPEC11_WEBHOOK_TOKEN": f"webhook-{CANARY}-0123456789",
    "SPEC11_WEBHOOK_SECRET": f"secret-{CANARY}-0123456789",
}
OPERATOR = {"authorization": f"Bearer operator-{CANARY}-0123456789"}
WRONG = {
    "authorization": f"Bearer wrong-{CANARY}-0123456789",
    "x-spec11-signature": f"t=1800000000,v1={CANARY}",
    "cookie": f"session={CANARY}",
    "x-api-key": CANARY,
}
ANSWER = {"payload": {"choice": "no", "rationale": CANARY}, "dedupeKey": "k", "origin": "manual"}
TOLD = (
    "UndefinedFunction [42883]: function",
    "ValidationError",
    "refused POST /api/run: 401 unauthorized",
    "refused POST /api/run: 409 run_identity_conflict",
    "waits for the database",
)
BROKEN_ROW = "UPDATE app.human_gates SET result = jsonb_build_array(%s::text)"


@dataclass(frozen=True, slots=True)
class Pair:
    """An api-shim and a worker that were told secrets, and all that they say."""

    http: httpx.Client
    dsn: str
    output: Path
    refusals: list[str] = field(default_factory=list)

    def ask(self, status: int, method: str, path: str, **how: Any) -> httpx.Response:
        """The answer, as an operator unless ``how`` says otherwise; refusals are kept."""
        answer = self.http.request(method, path, **{"headers": OPERATOR, **how})
        assert answer.status_code == status, answer.text
        if answer.is_error:
            self.refusals.append(answer.text)
        return answer

    def read_output(self) -> str:
        """Both streams of both processes."""
        return self.output.read_text()

    def run(self, statement: str, *values: object) -> None:
        """Plant what the test needs."""
        with psycopg.connect(self.dsn) as db:
            db.execute(statement.encode(), values)


@pytest.fixture
def pair(clone: Callable[[], str], tmp_path: Path) -> Iterator[Pair]:
    dsn = clone()
    env = {"SPEC11_DSN": f"{dsn} password=password-{CANARY}", "PORT": "0", **SECRETS}
    output = tmp_path / "output"
    with ExitStack() as stack:
        sink = stack.enter_context(output.open("ab"))
        for command in ("worker", "api"):
            stack.enter_context(_running(command, env, sink))
        found = eventually(lambda: _ready(output.read_text()), deadline_s=30)
        http = stack.enter_context(httpx.Client(base_url=found, timeout=GIVE_UP_S))
        yield Pair(http, dsn, output)


def _ready(said: str) -> str | None:
    """Where the api-shim listens, once both are ready."""
    found = re.search(r"^listening on (\S+)$", said, re.MULTILINE)
    return found[1] if found and "worker w0 ready\n" in said else None


@contextmanager
def _running(command: str, env: dict[str, str], sink: Any) -> Iterator[None]:
    process = subprocess.Popen(  # noqa: S603  # our own words only
        [*ENGINE, command], env=environment(**env), stdout=sink, stderr=sink
    )
    try:
        yield
        process.terminate()
        assert process.wait(GIVE_UP_S) == 0
    finally:
        process.kill()
        process.wait()


def park_run(pair: Pair, goal: str) -> str:
    """The path of the gate at which a new run waits."""
    wid = pair.ask(201, "POST", "/api/run", json=start_body(goal)).json()["workflowID"]
    gates = f"/api/runs/{wid}/gates"
    found: Any = eventually(lambda: pair.ask(200, "GET", gates).json() or None, deadline_s=20)
    return f"{gates}/{found[0]['gateKey']}"


def strangers_are_refused(pair: Pair) -> None:
    for method, path in (
        ("GET", "/api/recipes"),
        ("POST", "/api/run"),
        ("PUT", "/nowhere"),
        ("POST", "/api/events/hitl"),
    ):
        pair.ask(401, method, path, headers=WRONG, json=ANSWER)


def bodies_are_refused(pair: Pair, started: str) -> None:
    start = start_body(started)
    for content in (f'{{"{CANARY}"', f'{{"a": NaN, "b": "{CANARY}"}}'):
        pair.ask(400, "POST", "/api/run", content=content)
    for more in (
        {"recipeRef": [CANARY]},
        {"formData": {"goal": CANARY * 500}},
        {"formData": {"goal": "x", "topic": [CANARY]}},
        {"opts": {**start["opts"], "priority": CANARY}},
    ):
        pair.ask(400, "POST", "/api/run", json={**start, **more})
    named = {**start, CANARY: 1}, {**start, "opts": {**start["opts"], "tenantId": CANARY}}
    for status, body in zip((400, 409), named, strict=True):
        pair.ask(status, "POST", "/api/run", json=body)
        del pair.refusals[-1]  # it names the key, or the value that differs: that is its contract


def things_fail(pair: Pair, gate: str, server: EmbeddedServer) -> None:
    pair.run("ALTER FUNCTION dbos.send_message RENAME TO hidden")
    pair.ask(500, "POST", f"{gate}/reply", json=ANSWER)
    pair.run("ALTER FUNCTION dbos.hidden RENAME TO send_message")
    pair.run(BROKEN_ROW, CANARY)
    pair.ask(500, "GET", gate)
    with outage(server, pair.dsn):
        pair.ask(500, "POST", f"{gate}/reply", json=ANSWER)
        eventually(lambda: "waits for the database" in pair.read_output() or None, deadline_s=10)


def test_no_secret_and_no_body_reaches_a_log_or_a_refusal(
    pair: Pair, server: EmbeddedServer
) -> None:
    goal = f"a goal with {CANARY}"
    gate, other = park_run(pair, goal), park_run(pair, "another goal")

    strangers_are_refused(pair)
    pair.ask(200, "POST", f"{gate}/reply", json=ANSWER)
    pair.ask(409, "POST", f"{gate}/reply", json={**ANSWER, "payload": {"approved": True}})
    run = gate.partition("/gates")[0]
    eventually(lambda: pair.ask(200, "GET", run).json()["status"] == "ERROR", deadline_s=20)
    things_fail(pair, other, server)
    bodies_are_refused(pair, goal)

    said = pair.read_output()
    assert [line for line in said.splitlines() if CANARY in line] == []
    assert [text for text in pair.refusals if CANARY in text] == []
    for words in TOLD:
        assert words in said, f"what went wrong is not told: {words}"


@contextmanager
def outage(server: EmbeddedServer, dsn: str) -> Iterator[None]:
    """The block runs while the database takes nobody in."""
    name = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
    with connect(server.dsn("postgres", "postgres")) as admin:
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,)
        )
        try:
            yield
        finally:
            admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true".encode())


def record(name: str, message: str, error: BaseException | None = None) -> logging.LogRecord:
    exc_info = None if error is None else (type(error), error, error.__traceback__)
    return logging.LogRecord(name, logging.ERROR, "", 0, message, None, exc_info)


def failure() -> RuntimeError:
    """An exception that quotes, and so does what led to it."""
    error = RuntimeError(CANARY)
    try:
        int(CANARY)
    except ValueError as cause:
        error.__cause__ = cause
    return error


def test_an_exception_is_told_by_types_and_places() -> None:
    text = Lines(FORMAT).format(record("engine", "failed", failure()))

    assert CANARY not in text
    assert re.search(
        r"test_redaction\.py.*builtins\.ValueError\nwhich led to\n.*RuntimeError$", text, re.DOTALL
    )


def test_what_the_event_loop_says_of_a_lost_exception_is_its_first_line() -> None:
    said = f"Task exception was never retrieved\nfuture: <Task exception=ValueError('{CANARY}')>"

    assert (
        Lines(FORMAT).format(record("asyncio", said))
        == "ERROR:asyncio:Task exception was never retrieved"
    )
