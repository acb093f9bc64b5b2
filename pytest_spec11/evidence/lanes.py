"""Lanes: recorded runs of the project's own commands. Each is the evidence of one PF tile.

The policy names the commands of a lane in ``[lanes.NAME]`` of ``spec11.toml``, and they are sealed
with it. A lane runs only if the lower lanes are green, for this tree, in the same release run.
Nothing is cached: each record is of processes that ran for it.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from pytest_spec11.canon import canonical
from pytest_spec11.errors import BadInput
from pytest_spec11.evidence import documents
from pytest_spec11.requirements.policy import Policy

DEADLINE_S: Final = 1500
KILLED_AFTER_S: Final = 20
TIMED_OUT: Final = 124
NOT_FOUND: Final = 127

Measure = Callable[[], Mapping[str, Any]]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Step:
    """One command of a lane. ``{release}`` in it stands for the directory of its evidence."""

    name: str
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Lane:
    """A group of commands, and the lower lane that must be green before it, if any."""

    name: str
    after: str
    deadline_s: float
    steps: tuple[Step, ...]


def read_lanes(policy: Policy) -> dict[str, Lane]:
    """The lanes of a policy. Raises BadInput if the lower lane is missing or there is a circle."""
    tables = policy.document.get("lanes", {})
    found = {name: _lane(name, table) for name, table in tables.items()}
    for lane in found.values():
        seen = [lane.name]
        while below := found[seen[-1]].after:
            if below not in found or below in seen:
                raise BadInput(f"lane {lane.name}: after {below}, which is not a lane below it")
            seen.append(below)
    return found


def _lane(name: str, table: Mapping[str, Any]) -> Lane:
    steps = tuple(Step(key, tuple(command)) for key, command in table["steps"].items())
    return Lane(name, table.get("after", ""), float(table.get("deadline_s", DEADLINE_S)), steps)


def chain(lanes: Mapping[str, Lane], name: str) -> list[Lane]:
    """The lane and all lanes below it, lowest first. Raises BadInput for an unknown name."""
    if name not in lanes:
        known = ", ".join(lanes) or "none: there is no [lanes] in spec11.toml"
        raise BadInput(f"no lane {name}; there are {known}")
    found = [lanes[name]]
    while found[0].after:
        found.insert(0, lanes[found[0].after])
    return found


@dataclass(frozen=True, slots=True)
class Release:
    """One release run: its directory holds one bundle for each lane."""

    id: str
    folder: Path
    root: Path  # the work tree
    measure: Measure
    say: Say

    def green(self, lane: Lane) -> bool:
        """Whether this release run has a green record of the lane for the present tree."""
        path = self.bundle(lane) / f"lane-{lane.name}.json"
        if not path.is_file():
            return False
        found = documents.read(path, "lane")
        same = not found.damage and found.data["binding"] == self.measure()
        return same and found.data["exitCode"] == 0 and found.data["release"] == self.id

    def bundle(self, lane: Lane) -> Path:
        """The directory of the lane's record and of the logs of its steps."""
        return self.folder / f"pf-{lane.name}"

    def run(self, lane: Lane) -> int:
        """Run the lane; return 0 or the exit code of its first red step, after which it stops.

        It always writes the record and ends everything that it started. The lane is red if the tree
        changes meanwhile. Raises BadInput when the record cannot be written.
        """
        bundle = self.bundle(lane)
        (bundle / "blobs").mkdir(parents=True, exist_ok=True)
        before, begun = self.measure(), _now_ms()
        deadline = time.monotonic() + lane.deadline_s
        steps = [*self._run_steps(lane, bundle, deadline)]
        code = next((step["exitCode"] for step in steps if step["exitCode"]), 0)
        if (after := self.measure()) != before:
            moved = sorted(key for key in before if before[key] != after.get(key))
            steps.append(
                _write_refusal("tree", f"changed while the lane ran: {', '.join(moved)}", bundle)
            )
            code = code or 1
        document = {
            "schema": "spec11/lane/1",
            "lane": lane.name,
            "run": {"id": f"{self.id}-{lane.name}", "nonce": secrets.token_hex(16)},
            "release": self.id,
            "binding": before,
            "command": ["spec11", "lane", lane.name],
            "exitCode": code,
            "startedAt": begun,
            "finishedAt": _now_ms(),
            "log": _store_blob(
                canonical([[s["name"], s["exitCode"], s["log"]] for s in steps]), bundle
            ),
            "steps": steps,
        }
        documents.write(bundle / f"lane-{lane.name}.json", "lane", document)
        return code

    def _run_steps(self, lane: Lane, bundle: Path, deadline: float) -> Iterator[dict[str, Any]]:
        for step in lane.steps:
            self.say(f"{lane.name}: {step.name} …")
            words = [word.replace("{release}", str(self.folder)) for word in step.command]
            begun = _now_ms()
            log = bundle / f"{step.name}.log"
            code = _run_command(words, log, self.root, deadline)
            content = log.read_bytes() or b"(it printed nothing)\n"
            log.unlink()
            ended = _now_ms()
            self.say(f"{lane.name}: {step.name} {_word(code)} after {(ended - begun) / 1000:.1f} s")
            if code:
                self.say(_tail(content))
            yield {
                "name": step.name,
                "command": words,
                "exitCode": code,
                "startedAt": begun,
                "finishedAt": ended,
                "log": _store_blob(content, bundle),
            }
            if code:
                return


def _word(code: int) -> str:
    return "is green" if code == 0 else f"is red (status {code})"


def _tail(content: bytes, lines: int = 30) -> str:
    shown = content.decode(errors="replace").splitlines()[-lines:]
    return "\n".join(f"    {line}" for line in shown)


def _write_refusal(name: str, text: str, bundle: Path) -> dict[str, Any]:
    now = _now_ms()
    return {
        "name": name, "command": ["spec11", "lane"], "exitCode": 1, "startedAt": now,
        "finishedAt": now, "log": _store_blob(f"{text}\n".encode(), bundle),
    }  # fmt: skip


def _run_command(words: Sequence[str], log: Path, root: Path, deadline: float) -> int:
    """Run the command, end its whole process group (also after Ctrl-C), return the exit status."""
    with log.open("wb") as output:
        try:
            process = subprocess.Popen(  # noqa: S603  # the policy's own command, no shell
                words,
                cwd=root,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            output.write(f"{words[0]}: {error.strerror}\n".encode())
            return NOT_FOUND
        try:
            return abs(process.wait(max(0.1, deadline - time.monotonic())))
        except subprocess.TimeoutExpired:
            output.write(b"\nstopped: the lane's time is over\n")
            return TIMED_OUT
        finally:
            _stop_group(process)


def _stop_group(process: subprocess.Popen[bytes]) -> None:
    """End the group. Ask first, like Ctrl-C, so that it can stop what it started."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(KILLED_AFTER_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _environment() -> dict[str, str]:
    """Our environment: this interpreter's tools first, without variables of an outer pytest."""
    tools = str(Path(sys.executable).parent)
    ours = os.environ  # noqa: TID251  # of whoever runs the lane
    clean = {name: value for name, value in ours.items() if not name.startswith("PYTEST_")}
    return clean | {"PATH": f"{tools}{os.pathsep}{clean.get('PATH', os.defpath)}"}


def _store_blob(content: bytes, bundle: Path) -> dict[str, Any]:
    """Store a blob in the bundle; return its digest and size."""
    name = sha256(content).hexdigest()
    path = bundle / "blobs" / name[:2] / name
    path.parent.mkdir(exist_ok=True)
    documents.replace(path, content)
    return {"sha256": name, "bytes": len(content)}


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
