"""A project of another team, in a directory of its own: its conftest, its system, its tests."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

SYSTEM = """
import http.server, json, os, signal, sys

class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = json.dumps({"path": self.path, "mode": os.environ.get("MODE", "plain")}).encode()
        self.send_response(200 if self.path == "/healthz" else 404)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(201)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
"""

CONFTEST = """
import sys
from pathlib import Path

from pytest_spec11.target import Process, Target

HERE = Path(__file__).parent

def pytest_spec11_target(config):
    python = (sys.executable, "-S", "-E")
    api = Process(
        name="api", command=(*python, str(HERE / "system.py")), env={{"MODE": "plain"}},
        ready=r"listening on (?P<url>\\S+)", deadline_s=10, stop_s=2,
    )
    return Target(
        name="fake", processes=(api,), base_url="{{api.url}}", app_version="v7",
        posture={{"mode": "plain"}}, **{extra},
    )
"""

PROOF = """
import pytest

pytestmark = pytest.mark.S00

@pytest.mark.claim("S00.stack-answers")
def test_it_answers(api):
    assert api.get("/healthz").json()["mode"] == "plain"
"""


@dataclass(frozen=True)
class Team:
    """Another team's checkout, and their pytest in a process of its own."""

    pytester: pytest.Pytester

    def run(self, *args: str) -> pytest.RunResult:
        """How their pytest ended."""
        return self.pytester.runpytest_subprocess(*switched_on(), *args)

    def bundles(self) -> list[Path]:
        """Bundles of all their runs, oldest first."""
        return sorted((self.pytester.path / ".spec11").glob("*"))


def switched_on() -> tuple[str, ...]:
    """What makes pytest load the plugin here: nothing, once the project is installed."""
    installed = {each.name for each in entry_points(group="pytest11")}
    return () if "spec11" in installed else ("-p", "pytest_spec11.plugin")


@pytest.fixture
def team(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Team]:
    """Makes a team's checkout: a system that answers HTTP, and the given test file."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", raising=False)

    def made(tests: str = PROOF, *, extra: str = "{}") -> Team:
        pytester.makepyprojecttoml("[tool.pytest]\nstrict = true\n")
        pytester.makepyfile(system=SYSTEM)
        pytester.makeconftest(CONFTEST.format(extra=extra))
        pytester.makepyfile(test_proof=tests)
        return Team(pytester)

    return made


PYTHON = sys.executable
