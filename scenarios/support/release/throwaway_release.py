"""A rehearsal: a throwaway work tree with a real release, so that tests can tamper with it.

Its policy and the seal of its sign-off mark it: it is never the sign-off of another tree.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from pytest_spec11.evidence.binding import measure
from pytest_spec11.oracles.proc import Exit, Proc
from pytest_spec11.requirements import catalogue

SPEC11: Final = (sys.executable, "-m", "pytest_spec11.cli")
PYTHON: Final = (sys.executable, "-S", "-E")
LANES: Final = ("quick", "check", "full", "deps", "policy", "crashdemo")
SCENARIOS: Final = tuple(f"S{number:02}" for number in range(16))
CLAIMS: Final = tuple(f"{scenario}.holds" for scenario in SCENARIOS)
PROOFS: Final = (
    "proof-api-run-idem", "proof-api-run-drift", "proof-malformed-400", "proof-x1-audit",
    "proof-split-parity", "proof-hitl-dedupe", "proof-queue-fairness", "proof-budget-guard",
    *(f"proof-{scenario.lower()}" for scenario in SCENARIOS),
    "proof-load", "proof-oracle-strength",
)  # fmt: skip
PROVOKED: Final = "ih_provoked"
MADE_S: Final = 300.0
GATED: Final = "gated.json"
RELEASE_FOLDER: Final = "release-r1"

SYSTEM = """
import http.server, json, os, signal

class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = json.dumps({"path": self.path}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
"""
CONFTEST = """
import sys
from pathlib import Path

from pytest_spec11.saboteurs.http import HttpSaboteur
from pytest_spec11.target import Process, Target

class Lie(HttpSaboteur):
    async def answer(self, exchange):
        reply = await exchange.forward()
        reply.body = b'{{"path": "elsewhere"}}'
        self.hit()
        return reply

def pytest_spec11_saboteurs(config):
    return [Lie("http.lie", "each answer is of another path", {{"*": "'elsewhere'"}})]

def pytest_spec11_target(config):
    system = str(Path(__file__).parent / "system.py")
    api = Process(
        name="api", command=(sys.executable, "-S", "-E", system), stop_s=5,
        ready=r"listening on (?P<url>http://[^:]+:(?P<port>\\d+))",
    )
    posture = {{"ocStrictMode": "true", "queuePartition": "true", "ocMode": "replay"}}
    return Target(
        name="rehearsed", processes=(api,), base_url="{{api.url}}", app_version="{version}",
        posture=posture,
    )
"""
HEAD = """
import pytest

ROOT = __import__("pathlib").Path(__file__).parent
"""
RELEASE = """
[release]
rehearsal = true
max_age_h = 24
clock_skew_s = 120
mandatory = ["S00.holds"]

[thresholds]
wait_ms = {max = 500}
"""
TEST = """
@pytest.mark.{scenario}
@pytest.mark.claim("{scenario}.holds")
def test_{name}(api, files, provokes):
    provokes("{provoked}_{name}", "it is its purpose")
    assert api.get("/{name}").json() == {{"path": "/{name}"}}
    assert files.read(ROOT / "system.py")
"""
SCANNER = """
import pathlib, sys

files = sorted(pathlib.Path("scanned").rglob("*.txt"))
found = [str(each) for each in files if "forbidden" in each.read_text()]
print(len(files), "files", *found)
sys.exit(1 if found or not files else 0)
"""
SETTINGS = """
[tool.pytest]
strict = true
addopts = ["-p", "no:hypothesispytest", "-p", "no:cacheprovider"]
spec11_catalogue = "catalogue.json"
"""
EVERYWHERE: Final = ["signoff", "live-smoke"]
STRICT: Final = {"scopes": EVERYWHERE, "values": ["true"]}
POSTURE: Final = [
    {"key": "ocStrictMode", "code": "oc_strict_mode_required", **STRICT},
    {"key": "queuePartition", "code": "queue_partition_off", **STRICT},
    {"key": "ocMode", "code": "oc_mode", "scopes": ["live-smoke"], "values": ["live"]},
]


def claims() -> dict[str, Any]:
    """The catalogue of a rehearsal: a release's tiles and lanes, with one claim per scenario."""
    tiles = [
        {"id": id_, "claims": [_pick_claim(id_)], "kills": id_.endswith("strength")}
        for id_ in PROOFS
    ]
    scenarios = [
        {"id": scenario, "title": scenario, "claims": [_claim(scenario)]} for scenario in SCENARIOS
    ]
    return {"lanes": [*LANES], "posture": POSTURE, "tiles": tiles, "scenarios": scenarios}


def _pick_claim(tile: str) -> str:
    """The claim of a tile: that of its scenario, otherwise that of the first scenario."""
    scenario = tile.removeprefix("proof-").upper()
    return f"{scenario if scenario in SCENARIOS else 'S00'}.holds"


def _claim(scenario: str) -> dict[str, Any]:
    claim = {
        "id": f"{scenario}.holds",
        "text": f"{scenario} holds.",
        "sources": ["api", "file"],
        "scopes": EVERYWHERE,
    }
    return claim | ({"saboteurs": ["http.lie"]} if scenario == "S00" else {})


def policy() -> str:
    """The policy of a rehearsal: every lane, with commands that really run."""
    tests = [sys.executable, "-m", "pytest", "-q", "--spec11-scope", "signoff"]
    steps = {
        "quick": [*PYTHON, "-c", "print('quick')"],
        "check": [*tests, "--spec11-dir={release}"],
        "full": [*PYTHON, "-c", "print('full')"],
        "deps": [*PYTHON, "-c", "print('deps')"],
        "policy": [*PYTHON, "scan.py"],
        "crashdemo": [*PYTHON, "-c", "print('crashdemo')"],
    }
    after = {"check": 'after = "quick"\n', "full": 'after = "check"\n'}
    lanes = [
        f"[lanes.{lane}]\ndeadline_s = 240\n{after.get(lane, '')}"
        f"[lanes.{lane}.steps]\nit = {json.dumps(steps[lane])}\n"
        for lane in LANES
    ]
    return "\n".join([RELEASE, *lanes])


@dataclass(frozen=True)
class ThrowawayRelease:
    """A work tree and its release: the sign-off, and every bundle beside it."""

    tree: Path
    release: Path
    app_version: str

    @property
    def signoff(self) -> Path:
        """The sign-off."""
        return self.release / "signoff.json"

    @property
    def gated_file(self) -> Path:
        """The file of the gate's last verdict, which is not part of the evidence."""
        return self.release.parent / GATED

    @property
    def bundles(self) -> list[Path]:
        """Directories of evidence."""
        return sorted(each for each in self.release.iterdir() if each.is_dir())

    @property
    def run(self) -> Path:
        """The bundle of the tests."""
        (found,) = (each.parent for each in self.release.glob("*/journal-main.ndjson"))
        return found

    @property
    def journal(self) -> Path:
        """The journal of the tests."""
        return self.run / "journal-main.ndjson"

    def lane(self, name: str) -> Path:
        """The record of a lane."""
        return self.release / f"pf-{name}" / f"lane-{name}.json"

    @property
    def kills(self) -> Path:
        """The kill matrix."""
        return self.release / "kills" / "kills.json"

    @property
    def blobs(self) -> list[Path]:
        """The blobs of observations by name, without catalogue and policy."""
        kept = {self.catalogue.digest, self.here["policy"]}
        return sorted(each for each in self.run.glob("blobs/*/*") if each.name not in kept)

    @cached_property
    def catalogue(self) -> catalogue.Catalogue:
        """The claims of the tree."""
        return catalogue.load(self.tree / "catalogue.json")

    @cached_property
    def here(self) -> Mapping[str, Any]:
        """The binding of the tree, measured once."""
        return measure(self.tree, self.app_version, "signoff", self.catalogue.digest)

    def gate_words(self, *more: str, scope: str = "signoff") -> list[str]:
        """The arguments of ``spec11 gate`` for every bundle and the tree."""
        given = ["--root", self.tree, "--catalogue", self.tree / "catalogue.json"]
        words = ["gate", *self.bundles, *given, "--scope", scope, "--app-version", self.app_version]
        return [*map(str, words), *more]

    def copy_to(self, to: Path, *, tree: bool = False) -> ThrowawayRelease:
        """Copy the evidence to another place, with a copy of the tree if ``tree``."""
        shutil.copytree(self.release, to / "release", symlinks=True)
        if tree:
            shutil.copytree(self.tree, to / "tree", symlinks=True)
        own = to / "tree" if tree else self.tree
        return replace(self, tree=own, release=to / "release")


def write_tree(tree: Path, version: str, tests: str = "") -> None:
    """Write the files of the throwaway tree, without a commit."""
    made = {
        "spec11.toml": policy(),
        "catalogue.json": json.dumps(claims()),
        "conftest.py": CONFTEST.format(version=version),
        "system.py": SYSTEM,
        "scan.py": SCANNER,
        "scanned/clean.txt": "fine\n",
        "pyproject.toml": SETTINGS,
        ".gitignore": ".spec11/\n__pycache__/\n",
        "test_rehearsal.py": HEAD + (tests or holding()),
    }
    for name, text in made.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text, encoding="utf-8")


def holding(*scenarios: str) -> str:
    """Source of a passing test for each scenario; without names: for all."""
    return "".join(
        TEST.format(scenario=each, name=each.lower(), provoked=PROVOKED)
        for each in scenarios or SCENARIOS
    )


def commit_tree(proc: Proc, tree: Path) -> None:
    """Commit everything in the tree."""
    who = ("-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "commit.gpgsign=false")
    first = () if (tree / ".git").exists() else (("init", "-q", "-b", "main"),)
    for words in (*first, ("add", "-A"), ("commit", "-qm", "all of it")):
        done = proc.run(["git", "-C", str(tree), *who, *words])
        assert (done.code, done.stderr) == (0, "")


def share_release(proc: Proc, folder: Path, version: str) -> ThrowawayRelease:
    """Return the release below ``folder``; whoever comes first makes it, and others wait.

    What a maker left half done is made again. Nobody may change it: tests change copies.
    """
    folder.mkdir(exist_ok=True)
    whole = folder / "whole"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not whole.exists():
            for half in (folder / "tree", folder / RELEASE_FOLDER):
                shutil.rmtree(half, ignore_errors=True)
            _make_release(proc, folder, version)
            whole.touch()
    return ThrowawayRelease(folder / "tree", folder / RELEASE_FOLDER, version)


def _make_release(proc: Proc, folder: Path, version: str) -> ThrowawayRelease:
    """Make a whole release of a new tree below ``folder``: lanes, tests, kill matrix, sign-off."""
    tree = folder / "tree"
    write_tree(tree, version)
    commit_tree(proc, tree)
    made = ThrowawayRelease(tree, folder / RELEASE_FOLDER, version)
    done = run_lanes(proc, made, *LANES)
    assert done.code == 0, done.stdout
    done = run_sabotage(proc, made)
    assert done.code == 0, done.stdout + done.stderr
    gated = proc.run([*SPEC11, *made.gate_words("--out", str(made.signoff))])
    assert gated.code == 0, gated.stdout
    return made


def run_lanes(proc: Proc, made: ThrowawayRelease, *lanes: str) -> Exit:
    """Run ``spec11 lane`` with these lanes in the release's directory; return its exit."""
    words = [*SPEC11, "lane", *lanes, "--release", made.release.name.removeprefix("release-")]
    words += ["--dir", f"{made.release.parent}", "--root", f"{made.tree}"]
    words += ["--catalogue", f"{made.tree / 'catalogue.json'}", "--app-version", made.app_version]
    return proc.run(words, deadline_s=MADE_S)


def run_sabotage(proc: Proc, made: ThrowawayRelease) -> Exit:
    """Run ``spec11 sabotage``, which adds the kill matrix to the evidence; return its exit."""
    words = [*SPEC11, "sabotage", "--bundle", f"{made.kills.parent}", "--root", f"{made.tree}"]
    words += ["--catalogue", f"{made.tree / 'catalogue.json'}", "--app-version", made.app_version]
    return proc.run(words, deadline_s=MADE_S)
