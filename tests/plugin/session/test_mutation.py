"""Mutants of what tests read: an assertion that no change of it turns red proves nothing.

Each claim has one test of its own. Those of ``WEAK`` are green for pytest, and each looks at the
system; none of them says anything about it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from engine.postgres.server import EmbeddedServer, connect
from pytest_spec11.evidence import kill_matrix
from tests.plugin.team import CONFTEST, Team, make_team

SCHEMA = Path(kill_matrix.__file__).parent / "schemas" / "kills.schema.json"
SYSTEM = """
import http.server, json, sys

REPLIES = {
    "/orders": (200, {"rows": [{"id": 7, "status": "paid", "left": None}], "next": None}),
    "/none": (200, {"rows": [], "total": 0}),
    "/late": (200, {"state": "done", "tries": 2}),
}

class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        status, said = REPLIES.get(self.path, (404, {"error": "no such thing"}))
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("x-kind", "orders")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
"""
HEAD = """
import json, pathlib, sys
import pytest
from pytest_spec11.waiting import eventually
from helper import assert_paid

pytestmark = pytest.mark.S00

def claim(name):
    return pytest.mark.claim(f"S00.{name}")

@pytest.fixture
def healthy(api):
    assert api.get("/orders").status == 200
"""
# The source that the claim needs, the fixtures of its test, and the body.
HONEST = {
    "status": ("api", "api", 'assert api.get("/orders").status == 200'),
    "missing": ("api", "api", 'assert api.get("/nothing").status == 404'),
    "value": ("api", "api", 'assert api.get("/orders").json()["rows"][0]["status"] == "paid"'),
    "length": ("api", "api", 'assert len(api.get("/orders").json()["rows"]) == 1'),
    "every": (
        "api",
        "api",
        'assert all(r["status"] == "paid" for r in api.get("/orders").json()["rows"])',
    ),
    "absent": ("api", "api", 'assert api.get("/orders").json()["next"] is None'),
    "key": ("api", "api", 'assert "total" in api.get("/none").json()'),
    "header": ("api", "api", 'assert api.get("/none").headers["x-kind"] == "orders"'),
    "helper": ("api", "api", 'assert_paid(api.get("/orders"))\n    assert True'),
    "awaited": (
        "api",
        "api",
        (
            'eventually(lambda: api.get("/late").json()["state"] == "done", deadline_s=60)\n'
            "    assert True"
        ),
    ),
    "row": ("sql:app", "app_sql", 'assert app_sql.one("SELECT * FROM orders")["what"] == "tea"'),
    "rows": ("sql:app", "app_sql", 'assert len(app_sql.rows("SELECT * FROM orders")) == 1'),
    "alive": ("process", "proc", 'assert proc.alive("api")'),
    "exit": (
        "process",
        "proc",
        'assert proc.run([sys.executable, "-c", "raise SystemExit(3)"]).code == 3',
    ),
    "printed": (
        "process",
        "proc",
        'assert proc.run([sys.executable, "-c", "print(5)"]).stdout == "5\\n"',
    ),
    "bytes": ("file", "files", 'assert files.read("system.py").startswith(b"\\nimport")'),
}
WEAK = {
    "all-of-nothing": (
        "api",
        "api",
        'assert all(r["status"] == "paid" for r in api.get("/none").json()["rows"])',
    ),
    "tuple": ("api", "api", 'assert (api.get("/orders").status == 500, "wrong")'),
    "or-true": ("api", "api", 'assert api.get("/orders").status == 500 or True'),
    "truthy": ("api", "api", 'assert api.get("/orders")'),
    "type": ("api", "api", 'assert isinstance(api.get("/orders").json()["rows"], list)'),
    "caught": (
        "api",
        "api",
        (
            'reply = api.get("/orders")\n    assert True\n    try:\n'
            "        assert reply.status == 500\n    except AssertionError:\n        pass"
        ),
    ),
    "fixture": ("api", "healthy", "assert 1 + 1 == 2"),
    "itself": ("api", "api", 'reply = api.get("/orders")\n    assert reply.body == reply.body'),
    "breaks": ("api", "api", 'api.get("/orders").json()["rows"][0]["status"]\n    assert True'),
    "no-row": ("sql:app", "app_sql", 'assert app_sql.rows("SELECT * FROM orders") is not None'),
    "pid": ("process", "proc", 'assert proc.alive("api") in (True, False)'),
    "printed-anything": (
        "process",
        "proc",
        'assert proc.run([sys.executable, "-c", "print(5)"]).stdout is not None',
    ),
}
HELPER = """
def assert_paid(reply):
    assert reply.json()["rows"][0]["status"] == "paid"
"""


def write_tests(rows: dict[str, tuple[str, str, str]]) -> str:
    return "".join(
        f'\n@claim("{name}")\ndef test_{name.replace("-", "_")}({fixtures}):\n    {body}\n'
        for name, (_, fixtures, body) in rows.items()
    )


def write_catalogue(rows: dict[str, tuple[str, str, str]]) -> str:
    claims = [
        {"id": f"S00.{name}", "text": name, "sources": [source], "scopes": ["signoff"]}
        for name, (source, *_) in rows.items()
    ]
    return json.dumps({"scenarios": [{"id": "S00", "title": "Rows", "claims": claims}]})


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    """A database with one row, as a role reads it."""
    with EmbeddedServer() as server:
        with connect(server.dsn("postgres", "postgres")) as admin:
            admin.execute("CREATE DATABASE orders")
        with connect(server.dsn("orders", "postgres")) as admin:
            admin.execute("CREATE SCHEMA app")
            admin.execute("CREATE TABLE app.orders (id int, what text)")
            admin.execute("INSERT INTO app.orders VALUES (1, 'tea')")
        yield server.dsn("orders", "postgres")


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory, dsn: str) -> Team:
    """A team with all rows, every one of them green, and every claim tried under mutants."""
    rows = HONEST | WEAK
    team = make_team(tmp_path_factory.mktemp("mutation"), HEAD + write_tests(rows))
    team.write("catalogue.json", write_catalogue(rows))
    team.write("system.py", SYSTEM)
    team.write("helper.py", HELPER)
    team.write(
        "conftest.py",
        "import pytest\npytest.register_assert_rewrite('helper')\n"
        + CONFTEST.replace('base_url="', f'app_dsn={dsn!r}, base_url="'),
    )
    team.write(
        "pyproject.toml", (team.path / "pyproject.toml").read_text() + 'pythonpath = ["."]\n'
    )
    team.commit()
    assert team.run("--spec11-scope", "signoff").status == 0
    team.sabotage("--green", str(team.bundle), "--budget", "60")
    return team


@pytest.fixture(scope="module")
def against(ours: Team) -> dict[str, list[dict[str, Any]]]:
    """The reasons of the gate, by claim."""
    found: dict[str, list[dict[str, Any]]] = {}
    for each in ours.verdict()["reasons"]:
        found.setdefault(each["subject"], []).append(each)
    return found


@pytest.fixture(scope="module")
def mutation(ours: Team) -> dict[str, Any]:
    found = json.loads((ours.bundle / "kills.json").read_text())
    jsonschema.validate(found, json.loads(SCHEMA.read_text()))
    said: dict[str, Any] = found["mutation"]
    return said


@pytest.mark.parametrize("name", HONEST)
def test_an_assertion_that_a_change_turns_red_proves_its_claim(
    against: dict[str, list[dict[str, Any]]], mutation: dict[str, Any], name: str
) -> None:
    assert against.get(f"S00.{name}", []) == []
    (row,) = [each for each in mutation["claims"] if each["claim"] == f"S00.{name}"]
    assert row["node"] == f"test_proof.py::test_{name}"
    assert 0 < row["redAt"] < row["greenAt"]


@pytest.mark.parametrize("name", WEAK)
def test_an_assertion_that_no_change_turns_red_proves_nothing(
    against: dict[str, list[dict[str, Any]]], mutation: dict[str, Any], name: str
) -> None:
    (reason,) = against[f"S00.{name}"]
    assert reason["code"] == "E-WEAK-ORACLE"
    assert WEAK[name][0] in reason["text"]
    (row,) = [each for each in mutation["claims"] if each["claim"] == f"S00.{name}"]
    assert (row["node"], row["redAt"]) == ("", 0)
    assert row["text"]


def test_fields_that_nothing_depends_on_are_named(mutation: dict[str, Any]) -> None:
    unseen = {(each["claim"], each["field"]) for each in mutation["unseen"]}

    assert ("S00.or-true", "status") in unseen
    assert ("S00.itself", "$.rows") in unseen
    assert ("S00.status", "status") not in unseen


def test_the_time_that_it_took_is_said_beside_its_budget(mutation: dict[str, Any]) -> None:
    assert mutation["budgetMs"] == 60_000
    assert mutation["passes"] > 2
    assert mutation["suiteMs"] > 0


def test_no_evidence_is_left_of_runs_that_lied(ours: Team) -> None:
    found = [each.parent.name for each in ours.path.glob(".spec11/*/journal-*.ndjson")]
    assert found == [ours.bundle.name]
