"""OpenCode servers of the suite: the pinned package with our own model, or a stand-in."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pytest_spec11.stacks import Control, Stack, Stacks
from pytest_spec11.target import Process

ROOT = Path(__file__).parents[3]
VERSION = "1.18.33"  # the version that scenarios/doubles/opencode pins
LISTENING = r"listening on (?P<url>http://127\.0\.0\.1:\d+)"
LIVE = {"OC_MODE": "live", "OC_BASE_URL": "{opencode.url}"}
NOBODY = "http://127.0.0.1:9"  # the discard port, on which nobody listens
# The server fetches, reports and shares nothing while it runs.
QUIET = {
    "OPENCODE_DISABLE_AUTOUPDATE": "1",
    "OPENCODE_DISABLE_MODELS_FETCH": "1",
    "OPENCODE_DISABLE_DEFAULT_PLUGINS": "1",
    "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
    "npm_config_offline": "true",
}


def binary() -> Path | None:
    """The program of the installed package, built for every processor; None if it is missing."""
    found = sorted(ROOT.glob(".tools/opencode/node_modules/opencode-*/bin/opencode"))
    return found[-1] if found else None


def real(*, model: bool = True) -> Process | None:
    """The server of the package in the stack's own directory; None if it is not available."""
    program = binary()
    if program is None:
        return None
    config: dict[str, Any] = {
        "autoupdate": False,
        "share": "disabled",
        "enabled_providers": ["double"],
    }
    if model:
        config |= {"model": "double/double-1", "small_model": "double/double-1"}
        config["provider"] = {"double": _provider()}
    home = "{stack.dir}/opencode"
    places = {f"XDG_{kind}_HOME": f"{home}/{kind.lower()}" for kind in ("DATA", "CONFIG", "CACHE")}
    return Process(
        name="opencode",
        command=(
            "/bin/sh", "-c", 'mkdir -p "$HOME/work" && cd "$HOME/work" && exec "$@"', "opencode",
            str(program), "serve", "--hostname", "127.0.0.1", "--port", "0",
        ),
        env={
            "PATH": os.defpath, "HOME": home, "XDG_STATE_HOME": f"{home}/state", **places, **QUIET,
            "OPENCODE_CONFIG_CONTENT": json.dumps(config),
        },
        ready=LISTENING,
    )  # fmt: skip


def _provider() -> dict[str, Any]:
    limit = {"context": 100_000, "output": 8000}
    return {
        "npm": "@ai-sdk/openai-compatible",
        "name": "double",
        "options": {"baseURL": "{model.url}/v1", "apiKey": "none"},
        "models": {"double-1": {"name": "double-1", "tool_call": True, "limit": limit}},
    }


def model() -> Process:
    """The model behind the real server."""
    return _double("model", "model")


def tap(file: Path) -> Process:
    """A proxy that writes all traffic of the server to ``file``."""
    return _double("tap", "tap", "{opencode.url}", str(file))


def _double(name: str, module: str, *words: str) -> Process:
    return Process(
        name=name,
        command=(sys.executable, "-m", f"scenarios.doubles.{module}", *words),
        env={"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        ready=LISTENING,
    )


class StandIn:
    """The stand-in of one stack: its faults, and the requests that it got."""

    def __init__(self, stack: Stack, directory: Path) -> None:
        self.stack = stack
        self._directory = directory

    def doing(self, **faults: Any) -> None:
        """Set its faults, by operation; earlier faults end."""
        write_faults(self._directory, faults)

    def list_requests(self) -> list[dict[str, Any]]:
        """Every request, in order."""
        lines = (self._directory / "requests.ndjson").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    def of_session(self, title: str) -> list[str]:
        """The operations requested in the one session of that title, in order."""
        asked = self.list_requests()
        opened = [n for n, each in enumerate(asked) if (each["body"] or {}).get("title") == title]
        return [each["operation"] for each in asked[opened[0] :]] if opened else []


def write_faults(directory: Path, faults: dict[str, Any]) -> None:
    """Write the faults of the stand-in that reads this directory."""
    staged = directory / "faults.staged"
    staged.write_text(json.dumps(faults), encoding="utf-8")
    staged.rename(directory / "faults.json")


def stand_in(directory: Path) -> Process:
    """The stand-in, under the name of the server."""
    directory.mkdir(parents=True, exist_ok=True)
    write_faults(directory, {})
    (directory / "requests.ndjson").touch()  # nobody asked yet
    return _double("opencode", "daemon", str(directory))


@contextmanager
def standing_in(stacks: Stacks, directory: Path, **env: str) -> Iterator[StandIn]:
    """A live stack with a worker; the stand-in answers for its agents."""
    with stacks.start(
        only=("api",), env={"OC_MODE": "live", **env}, extra={"opencode": stand_in(directory)}
    ) as stack:
        begin_worker(stack, **env)
        yield StandIn(stack, directory)


def begin_worker(stack: Stack, **env: str) -> Control:
    """Start a worker of the stack that asks its server; wait until it is ready."""
    return stack.begin(stack.fill_process("worker").using({**LIVE, **env}, name="live-worker"))
