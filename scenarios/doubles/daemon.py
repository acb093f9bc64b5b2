"""A server by the wire of OpenCode's, as `python -m scenarios.doubles.daemon DIRECTORY`.

It says what the real server was recorded saying, and that it is a stub. What it does to a request
stands in ``DIRECTORY/faults.json``, read at each: ``{operation: fault}``, a fault being ``html``,
``cut``, ``shape``, ``error``, ``hang``, or an object that replaces parts of the good answer. Each
request is one line of ``DIRECTORY/requests.ndjson``, written before it is answered.
"""

from __future__ import annotations

import json
import sys
import threading
from itertools import count
from pathlib import Path
from typing import Any

from typing_extensions import override

from scenarios.doubles import serving, wire

PAGE = b"<!doctype html><html><body>an application</body></html>"
OPERATIONS = {  # method and the last word of the path, sessions left out
    ("GET", "health"): "health",
    ("GET", "agent"): "agents",
    ("POST", "session"): "createSession",
    ("POST", "message"): "promptStructured",
    ("GET", "message"): "messages",
    ("GET", "children"): "children",
    ("POST", "abort"): "abort",
    ("POST", "revert"): "revert",
}
OK, BROKEN = 200, 500
NUMBERS = count(1)


class Daemon(serving.Handler):
    """One request: written down, then answered as the faults of this moment say."""

    directory: Path
    agents: dict[str, str]  # the agent that each session was asked of

    @override
    def handle_request(self, method: str) -> None:
        """The request is written down, and answered."""
        path, body = self.path.partition("?")[0], self.body()
        operation = _operation(method, path)
        self._note({"operation": operation, "path": path, "body": body})
        faults = json.loads((self.directory / "faults.json").read_text(encoding="utf-8"))
        fault = faults.get(operation, "html" if operation == "unknown" else None)
        if operation == "promptStructured":
            self.agents[_session(path)] = body["agent"]
        good = self._good(operation, path)
        match fault:
            case "html":
                self.answer(200, "text/html", PAGE)
            case "cut":
                self.answer(200, "application/json", json.dumps(good).encode()[:-1])
            case "shape":
                self.answer_json({"nothing": "that anybody asked for"})
            case "error":
                self.answer_json(*REFUSED)
            case "hang":
                threading.Event().wait()
            case None:
                self.answer_json(good)
            case _:
                self.answer_json(_merge_changes(good, fault))

    def _good(self, operation: str, path: str) -> Any:
        agent = self.agents.get(_session(path), "")
        said: Any = RECORDED.get((operation, agent), RECORDED.get((operation, "")))
        match operation:
            case "health":
                return {**said, "server": "stub"}
            case "createSession":
                return {**said, "id": f"ses_double{next(NUMBERS)}"}
            case "revert":
                return {**said, "id": _session(path)}
            case _:
                return said

    def _note(self, line: dict[str, Any]) -> None:
        with (self.directory / "requests.ndjson").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def _session(path: str) -> str:
    return path.removeprefix("/session/").partition("/")[0]


def _operation(method: str, path: str) -> str:
    return OPERATIONS.get((method, path.partition("?")[0].rpartition("/")[2]), "unknown")


def _load_recording() -> dict[tuple[str, str], Any]:
    """The first good answer to each operation: by the agent that was asked last, and by any."""
    found: dict[tuple[str, str], Any] = {}
    agent = ""
    for each in wire.load_recording():
        operation = _operation(each["method"], each["path"])
        if each["status"] == OK:
            agent = (each["sent"] or {}).get("agent", agent)
            for key in ((operation, agent), (operation, "")):
                found.setdefault(key, each["said"])
    return found


RECORDED = _load_recording()
REFUSED = next(
    (each["said"], each["status"]) for each in wire.load_recording() if each["status"] == BROKEN
)


def _merge_changes(good: Any, changes: Any) -> Any:
    """``good`` with ``changes`` laid over it, key by key; of a list each of its items."""
    if isinstance(good, list) and isinstance(changes, dict):
        return [_merge_changes(each, changes) for each in good]
    if isinstance(good, dict) and isinstance(changes, dict):
        return good | {key: _merge_changes(good.get(key), value) for key, value in changes.items()}
    return changes


if __name__ == "__main__":
    Daemon.directory, Daemon.agents = Path(sys.argv[1]), {}
    serving.serve(Daemon)
