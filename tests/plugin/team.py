"""A project of another team, in a directory of its own: its system, its claims, its tests."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

from pytest_spec11.evidence import journal
from pytest_spec11.waiting import GIVE_UP_S
from tests.process_state import is_pid_alive

# What an outer pytest leaves in the environment is none of an inner one's business.
CLEAN = (
    "env",
    *("-u", "PYTEST_ADDOPTS", "-u", "PYTEST_CURRENT_TEST", "-u", "PYTEST_DISABLE_PLUGIN_AUTOLOAD"),
    *("-u", "PYTEST_PLUGINS", "-u", "PYTEST_XDIST_WORKER", "-u", "PYTHONDONTWRITEBYTECODE"),
)

SYSTEM = """
import http.server, json, os, signal, sys

class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = json.dumps({"path": self.path, "mode": os.environ.get("MODE", "plain")}).encode()
        self.send_response(200 if self.path == "/healthz" else 404)
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

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
if "FAMILY" in os.environ and os.fork() == 0:  # a child that only its process group knows
    signal.pause()
    os._exit(0)
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
"""

CONFTEST = """
import sys
from pathlib import Path

from pytest_spec11.target import Process, Target

HERE = Path(__file__).parent
PYTHON = (sys.executable, "-S", "-E")

API = Process(
    name="api", command=(*PYTHON, str(HERE / "system.py")), env={"MODE": "plain"},
    ready=r"listening on (?P<url>http://[^:]+:(?P<port>\\d+))", deadline_s=10, stop_s=2,
)

def pytest_spec11_target(config):
    return Target(
        name="orders", processes=(API,), base_url="{api.url}", app_version="v7",
        posture={"mode": "plain"},
    )
"""

# A second process that needs the first one's port, a directory, and has a child of its own.
TWO = (
    CONFTEST.replace(
        "processes=(API,)",
        "processes=(API, SHADOW)",
    )
    + """
SAY = "import signal, sys; print('shadow of', *sys.argv[1:], flush=True); signal.pause()"
SHADOW = Process(
    name="shadow", command=(*PYTHON, "-c", SAY, "{api.port}", "{stack.dir}", "{not.known", "{}"),
    env={"OF": "{api.url}"}, ready=r"shadow of (?P<port>\\d+) (?P<dir>\\S+) (?P<rest>.*)",
)
"""
)
FAMILY = TWO + 'API = API.using({"FAMILY": "yes"})\n'
CATALOGUE: dict[str, Any] = {
    "scenarios": [
        {
            "id": "S00",
            "title": "It is there",
            "claims": [
                {
                    "id": "S00.answers",
                    "text": "`GET /healthz` is 200.",
                    "sources": ["api"],
                    "scopes": ["signoff"],
                },
                {
                    "id": "S00.lives",
                    "text": "The process that answers is alive.",
                    "sources": ["api", "process"],
                    "scopes": ["signoff"],
                },
            ],
        },
        {
            "id": "S01",
            "title": "It takes orders",
            "claims": [
                {
                    "id": "S01.takes-orders",
                    "text": "`POST /orders` is 201.",
                    "sources": ["api"],
                    "scopes": ["signoff"],
                }
            ],
        },
    ],
    "triggers": [{"id": "trigger-dead", "label": "Dead processes", "claims": ["S00.lives"]}],
}

PROOF = """
import pytest

@pytest.mark.S00
@pytest.mark.claim("S00.answers")
def test_it_answers(api):
    assert api.get("/healthz").status == 200

@pytest.mark.S00
@pytest.mark.claim("S00.lives")
def test_it_lives(api, proc):
    assert api.get("/healthz").status == 200
    assert proc.alive("api")

@pytest.mark.S01
@pytest.mark.claim("S01.takes-orders")
def test_it_takes_orders(api):
    assert api.post("/orders", json={"what": "tea"}).status == 201
"""

SETTINGS = """
[tool.pytest]
strict = true
addopts = ["-p", "no:hypothesispytest", "-p", "no:cacheprovider"]
spec11_catalogue = "catalogue.json"
"""


_RERUNS = """
from _pytest.runner import runtestprotocol

def pytest_runtest_protocol(item, nextitem):
    '''Run what failed a second time and let only that count, as rerun plugins do.'''
    if WORD not in item.name:
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports = runtestprotocol(item, nextitem=nextitem, log=False)
    if any(each.failed for each in reports):
        item._initrequest()
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True
"""


def reruns(word: str) -> str:
    """A conftest that runs what fails again, where ``word`` stands in the test's name."""
    return _RERUNS.replace("WORD", repr(word))


@dataclass(frozen=True)
class Ended:
    """How a command of the team ended."""

    status: int
    out: str
    err: str

    @property
    def summary(self) -> list[str]:
        """What the plugin printed at the end; empty when it was silent."""
        _, _, rest = self.out.partition("= spec11 =")
        lines = takewhile(lambda line: not line.startswith("="), rest.splitlines()[1:])
        return [line for line in lines if line]


@dataclass(frozen=True)
class Team:
    """Another team's checkout, and their commands in processes of their own."""

    path: Path

    def write(self, name: str, text: str) -> None:
        """A file of the checkout."""
        (self.path / name).write_text(text)

    def run(self, *args: str) -> Ended:
        """How their pytest ended."""
        return self._run_python("-m", "pytest", *args)

    def gate(self, *args: str, scope: str = "signoff") -> Ended:
        """How ``spec11 gate`` ended, by default on the newest bundle."""
        given = args or (str(self.bundle),)
        return self._run_python("-m", "pytest_spec11.cli", "gate", *given, "--scope", scope)

    def spec11(self, *words: str) -> Ended:
        """How a command of ``spec11`` ended."""
        return self._run_python("-m", "pytest_spec11.cli", *words)

    def verdict(self, *args: str, scope: str = "signoff") -> dict[str, Any]:
        """What ``spec11 gate`` says as JSON, by default of the newest bundle."""
        found = self.gate(*(args or (str(self.bundle),)), "--json", scope=scope)
        said: dict[str, Any] = json.loads(found.out)
        assert found.status == (said["verdict"] != "GO")
        return said

    def reasons(self, **how: str) -> dict[str, list[str]]:
        """Codes of the verdict on the newest bundle, by subject."""
        found: dict[str, list[str]] = {}
        for each in self.verdict(**how)["reasons"]:
            found.setdefault(each["subject"], []).append(each["code"])
        return found

    def sabotage(self, *args: str) -> Ended:
        """How ``spec11 sabotage`` ended: as many runs of their pytest as there are faults."""
        words = ("-m", "pytest_spec11.cli", "sabotage", *args)
        return self._run_python(*words, deadline_s=10 * GIVE_UP_S)

    def prove(self, *args: str) -> Ended:
        """How a run at the scope of a sign-off ended; every claim was then tried under mutants."""
        found = self.run("--spec11-scope", "signoff", *args)
        self.sabotage("--green", str(self.bundle))
        return found

    def _run_python(self, *words: str, deadline_s: float = GIVE_UP_S) -> Ended:
        done = subprocess.run(  # noqa: S603  # our own interpreter
            (*CLEAN, sys.executable, *words),
            cwd=self.path,
            capture_output=True,
            text=True,
            timeout=deadline_s,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    @contextmanager
    def start_pytest(self, *args: str, module: str = "pytest") -> Iterator[subprocess.Popen[str]]:
        """Their pytest, under way; killed when the block ends and it still runs."""
        with subprocess.Popen(  # noqa: S603  # our own interpreter
            (*CLEAN, sys.executable, "-m", module, *args),
            cwd=self.path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=_hears,  # noqa: PLW1509  # one call of the system, which takes no lock
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def commit(self) -> None:
        """Everything is in a commit."""
        who = ("-c", "user.name=t", "-c", "user.email=t@localhost")
        for words in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "all of it")):
            subprocess.run(  # noqa: S603  # full argv, no shell
                ("git", *who, *words),  # noqa: S607  # git is where it is
                cwd=self.path,
                check=True,
                capture_output=True,
            )

    @property
    def bundles(self) -> list[Path]:
        """Bundles of all their runs, oldest first."""
        found = (self.path / ".spec11").glob("*")
        runs = [each for each in found if not each.name.startswith("sabotage-")]
        return sorted(runs, key=lambda each: each.name)

    @property
    def bundle(self) -> Path:
        """The bundle of their newest run."""
        return self.bundles[-1]

    def journal(self, role: str = "main") -> journal.Reading:
        """The journal of one process of the newest run."""
        return journal.read(self.bundle / f"journal-{role}.ndjson")

    def records(self, kind: str) -> list[dict[str, Any]]:
        """All records of a kind of the newest run."""
        found: list[journal.Record] = []
        for path in sorted(self.bundle.glob("journal-*.ndjson")):
            journal.read(path, found.append)
        return [dict(record.data) for record in found if record.kind == kind]


def make_team(path: Path, tests: str = PROOF) -> Team:
    """A checkout with a system that answers HTTP, and the given test file."""
    team = Team(path)
    team.write("pyproject.toml", SETTINGS)
    team.write("catalogue.json", json.dumps(CATALOGUE))
    team.write("system.py", SYSTEM)
    team.write("conftest.py", CONFTEST)
    team.write("test_proof.py", tests)
    team.write(".gitignore", ".spec11/\n__pycache__/\n")
    return team


def _hears() -> None:
    """A hang-up is heard, though `nohup` hands on deafness."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def are_gone(pids: list[int]) -> bool:
    """Whether no process of these ids is left; a zombie nobody waited for counts as gone."""
    return not any(map(is_pid_alive, pids))
