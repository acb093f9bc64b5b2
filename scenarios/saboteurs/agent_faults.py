"""Servers, sandboxes and recorded answers that are others than those a test put there."""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Final

from typing_extensions import override

from pytest_spec11.saboteurs.http import HttpSaboteur
from pytest_spec11.saboteurs.proc import ProcSaboteur
from pytest_spec11.saboteurs.proxy import Exchange
from pytest_spec11.saboteurs.wire import Reply
from pytest_spec11.target import Process

ROOT: Final = Path(__file__).parents[2]
PYTHON: Final = {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
# No braces in it: what stands in braces in a command is filled in.
FILES: Final = """
import http.server
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
print("listening on http://127.0.0.1:%d" % server.server_port, flush=True)
server.serve_forever()
"""


class Usurper(ProcSaboteur):
    """The server of the agents is another one."""

    @override
    def process(self, process: Process) -> Process:
        if process.name != "opencode":
            return process
        self.hit()
        return replace(process, command=self.command(), env={**process.env, **PYTHON})

    def command(self) -> tuple[str, ...]:
        """What is started in its place."""
        raise NotImplementedError


class OcImpostor(Usurper):
    """Files are served on its port."""

    @override
    def command(self) -> tuple[str, ...]:
        return (sys.executable, "-c", FILES)


class StandIn(Usurper):
    """A stand-in is started that nobody but the saboteur tells what to do wrong."""

    faults: ClassVar[Mapping[str, str]] = {}

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._made = list[tempfile.TemporaryDirectory[str]]()

    @override
    def command(self) -> tuple[str, ...]:
        made = tempfile.TemporaryDirectory(prefix="stand-in-")
        self._made.append(made)
        (Path(made.name) / "faults.json").write_text(json.dumps(self.faults), encoding="utf-8")
        return (sys.executable, "-m", "scenarios.doubles.daemon", made.name)

    @override
    def close(self) -> None:
        while self._made:
            self._made.pop().cleanup()


class OcVentriloquist(StandIn):
    """It has a good answer to everything, whatever it should have done wrong."""


class OcHtml(StandIn):
    """It answers with a page."""

    faults: ClassVar = {"promptStructured": "html"}


class SbxVentriloquist(ProcSaboteur):
    """Another provider stands in for the one that is not there."""

    ABSENT: ClassVar = frozenset({"e2b", "microsandbox"})
    PRESENT: ClassVar = {"SBX_PROVIDER": "local", "SBX_ALT_PROVIDER_ENABLED": "true"}

    @override
    def process(self, process: Process) -> Process:
        if process.env.get("SBX_PROVIDER") not in self.ABSENT:
            return process
        self.hit()
        return process.using(self.PRESENT)


class Answers(HttpSaboteur):
    """What was recorded of agents is another before a run that reads it is started."""

    where = re.compile(r"^POST /api/run$")

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._shelves = set[Path]()
        self._changed = set[tuple[Path, bytes]]()

    @override
    def process(self, process: Process) -> Process:
        shelf = Path(process.env.get("OC_FIXTURES_DIR") or ROOT)
        if not shelf.is_relative_to(ROOT):  # what the suite ships stays as it is
            self._shelves.add(shelf)
        return process

    @override
    async def answer(self, exchange: Exchange) -> Reply:
        for path in [path for shelf in self._shelves for path in shelf.glob("*.json")]:
            self._change(path)
        return await exchange.forward()

    def _change(self, path: Path) -> None:
        before = path.read_bytes()
        document = json.loads(before)
        if (path, before) in self._changed or not self.change_answer(
            document["answer"]["structured"]
        ):
            return
        after = json.dumps(document).encode()
        path.write_bytes(after)
        self._changed.add((path, after))
        self.hit()

    def change_answer(self, structured: dict[str, Any]) -> bool:
        """Whether the answer was one to change, which it now is."""
        raise NotImplementedError


class FixtureSwap(Answers):
    """A plan with other risks."""

    @override
    def change_answer(self, structured: dict[str, Any]) -> bool:
        if "risks" not in structured:
            return False
        structured["risks"] = ["as it was recorded of another"]
        return True


class FakeShell(Answers):
    """Commands that print nothing, do nothing and exit 0."""

    @override
    def change_answer(self, structured: dict[str, Any]) -> bool:
        if "test_command" not in structured:
            return False
        structured["test_command"] = "exit 0 #"
        return True


class EffectTwice(Answers):
    """Each command does what it does twice."""

    @override
    def change_answer(self, structured: dict[str, Any]) -> bool:
        if not structured.get("tests"):
            return False
        structured["tests"] = [f"{test}\n{test}" for test in structured["tests"]]
        return True
