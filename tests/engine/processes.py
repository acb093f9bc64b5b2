"""The engine's commands as real processes, and what is left of them afterwards."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg

from engine.postgres.place import Place
from engine.postgres.server import address
from engine.usecases.cluster import DATABASE
from pytest_spec11.waiting import GIVE_UP_S, eventually

ROOT = Path(__file__).parents[2]
ENGINE = (sys.executable, "-m", "engine")
PASSED_ON = ("HOME", "PATH", "TMPDIR", "VIRTUAL_ENV")  # no setting of the engine among them
READY_S = 40.0


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str


def environment(**env: str) -> dict[str, str]:
    """An environment in which ``env`` is all that the engine is told."""
    kept = {name: os.environ[name] for name in PASSED_ON if name in os.environ}  # noqa: TID251  # the child's
    return {**kept, "PYTHONPATH": str(ROOT), **env}


def engine(*words: str, stdin: str = "", **env: str) -> Ended:
    """How ``spec11-engine WORDS`` ended, having read ``stdin``."""
    made = subprocess.run(  # noqa: S603  # our own words only
        [*ENGINE, *words],
        env=environment(**env),
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=GIVE_UP_S,
    )
    return Ended(made.returncode, made.stdout, made.stderr)


@contextmanager
def begin_command(*words: str, **env: str) -> Iterator[subprocess.Popen[str]]:
    """``spec11-engine WORDS`` just started; asked to end at last, and by force if need be."""
    with subprocess.Popen(  # noqa: S603  # our own words only
        [*ENGINE, *words],
        env=environment(**env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(GIVE_UP_S)
            finally:
                process.kill()


@dataclass(frozen=True, slots=True)
class Up:
    """A running ``spec11-engine up``, all that it says in files."""

    process: subprocess.Popen[bytes]
    data: Path
    out: Path
    err: Path

    def url(self) -> str:
        """What it serves, once it is ready."""
        return eventually(self._ready, deadline_s=READY_S)

    def _ready(self) -> str | None:
        assert self.process.poll() is None, self.err.read_text()
        found = re.fullmatch(r"ready (http://127\.0\.0\.1:\d+)\n", self.out.read_text())
        return found[1] if found else None

    def children(self) -> dict[str, psutil.Process]:
        """Its own processes: ``db serve``, ``db migrate``, ``api``, workers by executor id."""
        everyone = psutil.Process(self.process.pid).children()
        return {name: child for child in everyone if (name := _slot(child))}

    def read_output(self) -> str:
        """All that it and its processes said."""
        return self.err.read_text()

    def rows(self, query: str) -> list[Any]:
        """What ``query`` finds in the engine's database."""
        with psycopg.connect(address(Place(self.data), DATABASE, "spec11")) as db:
            return db.execute(query.encode()).fetchall()

    def end(self, signum: signal.Signals) -> int:
        """Its exit code after ``signum`` to its process group, as a terminal sends it."""
        os.killpg(self.process.pid, signum)
        return self.process.wait(GIVE_UP_S)


@contextmanager
def running_up(data: Path, *words: str, **env: str) -> Iterator[Up]:
    """``spec11-engine up`` without workers, on ``data`` or SPEC11_DSN; it has ended at last."""
    where = () if "SPEC11_DSN" in env else ("--data-dir", str(data))
    number = len(list(data.parent.glob("up-*.out")))
    out, err = (data.parent / f"up-{number}.{kind}" for kind in ("out", "err"))
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = subprocess.Popen(  # noqa: S603  # our own words only
            [*ENGINE, "up", "--workers", "0", "--port", "0", *where, *words],
            env=environment(**env),
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
    try:
        yield Up(process, data, out, err)
    finally:
        process.terminate()
        try:
            process.wait(GIVE_UP_S)
        finally:
            process.kill()
            process.wait()


def find_processes(data: Path) -> list[psutil.Process]:
    """Every process that names ``data`` or stands in it."""
    found = []
    for process in psutil.process_iter():
        try:
            words, place = cmdline(process), process.cwd()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        if process.pid != os.getpid() and str(data) in " ".join([*words, place]):
            found.append(process)
    return found


def _slot(process: psutil.Process) -> str | None:
    """What the process is; None before it is that, and after."""
    words = cmdline(process)
    if "engine" not in words:
        return None
    command = " ".join(takewhile(lambda word: word[0] != "-", words[words.index("engine") + 1 :]))
    try:
        return process.environ()["DBOS__VMID"] if command == "worker" else command
    except psutil.NoSuchProcess:
        return None


def cmdline(process: psutil.Process) -> list[str]:
    """Its words; none once it is gone."""
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return []


def nothing_is_left(data: Path, within_s: float = 2) -> None:
    """No process works on ``data`` any more, and its socket is gone."""
    eventually(lambda: find_processes(data), deadline_s=within_s, until=lambda left: left == [])
    eventually(lambda: not Place(data).socket_dir.exists(), deadline_s=within_s)


def postmaster(data: Path) -> psutil.Process:
    """The server that runs on ``data``."""
    return psutil.Process(int((data / "cluster" / "postmaster.pid").read_text().split()[0]))


def start_runs(url: str, *goals: str) -> set[str]:
    """Workflow ids of new runs of ``compile-default@v1``, each acknowledged."""
    made = set()
    for goal in goals:
        answer = httpx.post(f"{url}/api/run", json=_body(goal), timeout=GIVE_UP_S)
        assert answer.status_code == 201
        made.add(answer.json()["workflowID"])
    return made


def _body(goal: str) -> dict[str, Any]:
    return {
        "recipeRef": {"id": "compile-default", "v": "v1"},
        "formData": {"goal": goal},
        "opts": {"queuePartitionKey": "acme"},
    }
