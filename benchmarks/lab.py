"""What the benchmarks run on: a durable embedded Postgres, and processes that end with them."""

from __future__ import annotations

import os
import resource
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Self

import psutil
import psycopg
from psycopg.rows import scalar_row

from engine import config
from engine.postgres.server import EmbeddedServer, connect
from engine.usecases import cluster

ROOT: Final = Path(__file__).parent.parent
PATIENCE_S: Final = 120.0
READY_S: Final = 60.0
STOP_S: Final = 15.0
LOOK_S: Final = 0.02
TAIL: Final = 2000
YES: Final = {"payload": {"choice": "yes"}, "dedupeKey": "bench", "origin": "manual"}


class MeasurementFailed(Exception):
    """A measurement cannot be made; the message says why."""


@contextmanager
def postgres() -> Iterator[EmbeddedServer]:
    """A server that writes through to the disk, as one in use does; its files are gone after."""
    place = Path(tempfile.mkdtemp(prefix="spec11-bench-", dir="/var/tmp"))  # on a disk
    place.chmod(0o711)
    try:
        with EmbeddedServer(data=place, durable=True) as server:
            cluster.furnish(server)
            yield server
    finally:
        shutil.rmtree(place, ignore_errors=True)


def create_database(server: EmbeddedServer, name: str) -> str:
    """Create a migrated database of that name. Returns how to reach it."""
    with connect(server.dsn("postgres", "postgres")) as admin:
        admin.execute(f"CREATE DATABASE {name} OWNER spec11 TEMPLATE {cluster.TEMPLATE}")
        admin.execute("CHECKPOINT")  # not in the middle of what is measured next
    return server.dsn(name)


def start_api(dsn: str) -> Process:
    """One api-shim process on a free port; ``said`` is its URL."""
    return Process(["engine", "api", *build_owner_option()], "listening on ", environment(dsn))


def start_worker(dsn: str, number: int = 0) -> Process:
    """The worker process ``w<number>``."""
    env = {**environment(dsn), "DBOS__VMID": f"w{number}"}
    return Process(["engine", "worker", *build_owner_option()], "worker ", env)


def build_owner_option() -> tuple[str, str]:
    """The option that ends an engine process when we are gone, even by SIGKILL."""
    return "--owner", str(os.getpid())


def environment(dsn: str) -> dict[str, str]:
    """What the engine's processes are told, on the database ``dsn``."""
    return {"PORT": "0", "DBOS__APPVERSION": "bench", "SPEC11_DSN": dsn}


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended, what it said, and what it took."""

    code: int
    said: str
    seconds: float
    cpu_s: float


class Process:
    """``python -m words`` while the context lasts; it is ready when it printed ``ready``.

    It has a session of its own, so Ctrl-C reaches us alone and we end it by its handle.
    """

    def __init__(self, words: Sequence[str], ready: str, env: Mapping[str, str]) -> None:
        self._words = words
        self._ready = ready
        self._env = env
        self._owner = ExitStack()
        self.said = ""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            log = stack.enter_context(tempfile.TemporaryFile())
            child = stack.enter_context(
                run_child([sys.executable, "-m", *self._words], self._env, log)
            )
            self.said = self._read_ready_line(child, log)
            self.usage = psutil.Process(child.pid)
            self._owner = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._owner.close()

    def cpu_s(self) -> float:
        """Processor seconds so far."""
        times = self.usage.cpu_times()
        return float(times.user + times.system)

    def rss(self) -> int:
        """Bytes of memory now."""
        return int(self.usage.memory_info().rss)

    def _read_ready_line(self, child: subprocess.Popen[bytes], log: IO[bytes]) -> str:
        line = _read_line(child, READY_S).decode(errors="replace")
        if line.startswith(self._ready):
            return line.removeprefix(self._ready).strip()
        log.seek(0)
        tail = log.read()[-TAIL:].decode(errors="replace")
        raise MeasurementFailed(f"{' '.join(self._words[:2])} did not start: {line!r} {tail}")


@contextmanager
def run_child(
    command: Sequence[str], env: Mapping[str, str], log: IO[bytes], folder: Path = ROOT
) -> Iterator[subprocess.Popen[bytes]]:
    """A process of ours, with a pipe for its output. It has ended when the context ends."""
    child = subprocess.Popen(  # noqa: S603  # our own words only
        command,
        cwd=folder,
        env=config.environment(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=log,
        start_new_session=True,
    )
    try:
        yield child
    finally:
        end_child(child)


def end_child(child: subprocess.Popen[bytes]) -> None:
    """Ask it to end, then kill its session when it does not."""
    try:
        if child.poll() is None:
            child.terminate()
        with suppress(subprocess.TimeoutExpired):
            child.wait(STOP_S)
    finally:  # interrupted or not
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        if child.stdout is not None:
            child.stdout.close()


def _read_line(child: subprocess.Popen[bytes], limit_s: float) -> bytes:
    """The first line of its output; what there is of it when it ended or the time is over."""
    if child.stdout is None:
        raise MeasurementFailed("no pipe")
    end, line = time.monotonic() + limit_s, b""
    descriptor = child.stdout.fileno()
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while b"\n" not in line and selector.select(max(0.0, end - time.monotonic())):
            if not (part := os.read(descriptor, 4096)):
                break
            line += part
    return line.partition(b"\n")[0]


def run_to_end(
    command: Sequence[str], folder: Path, env: Mapping[str, str], limit_s: float
) -> Ended:
    """Run ``command`` in ``folder`` until it ends. Raises MeasurementFailed past the limit."""
    before, began = _children_cpu_s(), time.perf_counter()
    with tempfile.TemporaryFile() as log, run_child(command, env, log, folder) as child:
        try:
            output, _ = child.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired as error:
            raise MeasurementFailed(f"{command}: no end within {limit_s:g} s") from error
        log.seek(0)
        said = (output + log.read()).decode(errors="replace")
        took_s = time.perf_counter() - began
    return Ended(child.returncode, said, took_s, _children_cpu_s() - before)


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def wait_for_count(dsn: str, query: str, values: Mapping[str, object], wanted: int) -> None:
    """Return when ``query`` counts ``wanted``. Raises MeasurementFailed after a bounded time."""
    end = time.monotonic() + PATIENCE_S
    with psycopg.connect(dsn, autocommit=True, row_factory=scalar_row) as db:
        while (seen := db.execute(query.encode(), values).fetchone()) != wanted:
            if time.monotonic() > end:
                raise MeasurementFailed(f"{query}: {seen}, not {wanted}, after {PATIENCE_S:g} s")
            time.sleep(LOOK_S)


def make_start(goal: str) -> dict[str, object]:
    """The body of a start."""
    return {
        "recipeRef": {"id": "compile-default", "v": "v1"},
        "formData": {"goal": goal},
        "opts": {"queuePartitionKey": "bench"},
    }
