"""A Postgres server of our own: one directory, a unix socket, peer authentication."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self, TypeAlias

import psycopg

from engine.errors import EngineError
from engine.postgres.account import Account, own_name
from engine.postgres.binaries import Programs
from engine.postgres.place import LOOK_EVERY_S, Place, throw_away

ROLES: Final = ("postgres", "spec11", "spec11_reader")
PORT: Final = 5432  # names the socket file; nothing listens on TCP
READY_S: Final = 30.0
STOP_S: Final = 15.0
BEYOND_SHELL: Final = 50  # descriptors with one digit are the shell's own to use
THROW_AWAY: Final = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
SETTINGS: Final = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",  # peer authentication decides who of those gets in
    "max_connections": "500",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "jit": "off",
    "random_page_cost": "1.1",  # no disk turns: an index is worth its pages
    "dynamic_shared_memory_type": "mmap",  # within the directory: it goes when that goes
    "log_min_messages": "warning",
    "autovacuum_naptime": "15s",
}

# The owner holds the other end of standard input: end of file means it is gone, however it went.
# The lock is inherited and never closed: the directory stays taken until nothing runs on it.
WATCHDOG: Final = """
exec 3<&0 </dev/null
"$@" </dev/null 3<&- & server=$!
{ read _ ; kill -INT $server; n=0
  while kill -0 $server && [ $n -lt 30 ]; do sleep 0.1; n=$((n+1)); done; kill -QUIT $server
} <&3 2>/dev/null & watch=$!
wait $server; code=$?
kill $watch 2>/dev/null
rm -rf $SPEC11_REMOVE
exit $code
"""


Connection: TypeAlias = psycopg.Connection[Any]


class ServerFailed(EngineError):
    """The server did not start; the message ends with its own words."""


@dataclass(slots=True)
class EmbeddedServer:
    """A server on ``data`` (None: a temporary directory, removed at the end).

    A new one begins as a copy of the cluster ``template`` when given. Without ``durable`` nothing
    survives a crash of the machine. ``owner`` is the process on whose behalf we hold ``data``. Use
    as a context manager: the server ends with the process that entered it, even on SIGKILL.
    Entering raises Misconfigured, InUse or ServerFailed.
    """

    data: Path | None = None
    template: Path | None = None
    durable: bool | None = None  # None: exactly when ``data`` is given
    owner: int | None = None  # None: we ourselves
    place: Place = field(init=False)
    is_copy: bool = field(init=False, default=False)  # whether it began as ``template`` just now
    _process: subprocess.Popen[bytes] | None = field(init=False, default=None)
    _log_from: int = field(init=False, default=0)

    def __enter__(self) -> Self:
        account = Account.of_server()
        programs = Programs.find_installed().make_reachable(account)
        self.place = throw_away() if self.data is None else Place(self.data)
        with self.place.claim_place(self.owner or os.getpid()) as lock:
            try:
                self._begin(programs, account, lock)
            except BaseException:
                self.stop()
                raise
        return self

    def _begin(self, programs: Programs, account: Account, lock: int) -> None:
        self.place.prepare(account)
        if not self.place.is_initialised:
            self._create(programs, account)
        self._admit(account)
        self._start(programs, account, lock)
        self._wait()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def dsn(self, database: str, role: str = "spec11") -> str:
        """How ``role`` reaches ``database``."""
        return address(self.place, database, role)

    @property
    def exit_code(self) -> int | None:
        """How the server ended by itself; None while it runs."""
        return None if self._process is None else self._process.poll()

    def stop(self) -> None:
        """The server has ended; a temporary directory is gone with it."""
        process, self._process = self._process, None
        if process is not None:
            _end(process)
        self._sweep()

    def _sweep(self) -> None:
        shutil.rmtree(self.place.socket_dir, ignore_errors=True)
        if self.data is None:
            shutil.rmtree(self.place.root, ignore_errors=True)

    @property
    def _is_durable(self) -> bool:
        return self.data is not None if self.durable is None else self.durable

    def _create(self, programs: Programs, account: Account) -> None:
        """A cluster that is there as a whole or not at all."""
        shutil.rmtree(made := self.place.root / "cluster.new", ignore_errors=True)
        if self.template is not None:
            _run(["cp", "-a", str(self.template), str(made)], {})  # owners too, when we are root
            self.is_copy = True
        else:
            _run([*_initdb(programs), "-D", str(made), "--no-sync"], account.credentials)
        if self._is_durable:
            sync = [programs.path("initdb"), "--sync-only", "-D", str(made)]
            _run(sync, account.credentials)
        made.rename(self.place.cluster)

    def _admit(self, account: Account) -> None:
        """Only the operating-system account that we are gets in, under each of the roles."""
        name = own_name().replace('"', '""')
        hba, ident = (self.place.cluster / f"pg_{each}.conf" for each in ("hba", "ident"))
        hba.write_text("local all all peer map=spec11\n")
        ident.write_text("".join(f'spec11 "{name}" {role}\n' for role in ROLES))
        account.give((hba, ident))

    def _start(self, programs: Programs, account: Account, lock: int) -> None:
        settings = {
            **SETTINGS,
            **({} if self._is_durable else THROW_AWAY),
            "unix_socket_directories": str(self.place.socket_dir),
        }
        command = [programs.path("postgres"), "-D", str(self.place.cluster), "-p", str(PORT)]
        command += [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        kept = fcntl.fcntl(lock, fcntl.F_DUPFD_CLOEXEC, BEYOND_SHELL)
        remove = (self.place.socket_dir, *(() if self.data else (self.place.root,)))
        with open(self.place.log, "ab", opener=_open_private) as sink:
            self._log_from = sink.tell()
            self._process = subprocess.Popen(  # noqa: S603  # our own words only
                ["/bin/sh", "-c", WATCHDOG, "spec11-postgres", *command],
                stdin=subprocess.PIPE,
                stdout=sink,
                stderr=sink,
                pass_fds=(kept,),
                cwd="/",
                start_new_session=True,
                env={**_environment(), "SPEC11_REMOVE": " ".join(map(str, remove))},
                **account.credentials,
            )
        os.close(kept)

    def _wait(self) -> None:
        """A connection is answered: a pid file may be stale, an answer is not."""
        end = time.monotonic() + READY_S
        while not _answers(self.dsn("postgres", "postgres")):
            if self.exit_code is not None or time.monotonic() > end:
                words = self.place.log.read_bytes()[self._log_from :].decode(errors="replace")
                self.stop()
                raise ServerFailed(f"postgres did not start: {words[-1000:].strip()}")
            time.sleep(LOOK_EVERY_S / 4)  # noqa: TID251  # the launcher's own bounded wait


def runs(place: Place) -> bool:
    """Whether a server answers, or is about to, on ``place``."""
    return (place.socket_dir / f".s.PGSQL.{PORT}").exists()


def address(place: Place, database: str, role: str) -> str:
    """How ``role`` reaches ``database`` of the server that runs, or will run, on ``place``."""
    return f"host={place.socket_dir} port={PORT} user={role} dbname={database}"


@contextmanager
def connect(dsn: str) -> Iterator[Connection]:
    """An autocommit connection for administration."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield connection


def _end(process: subprocess.Popen[bytes]) -> None:
    """The watchdog saw its input end, and is gone; by force if it takes too long."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(STOP_S)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def _answers(dsn: str) -> bool:
    try:
        psycopg.connect(dsn, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def _initdb(programs: Programs) -> list[str]:
    words = "-U postgres -A peer -E UTF8 --locale=C --no-instructions"
    return [programs.path("initdb"), *words.split()]


def _run(command: Sequence[str], credentials: Mapping[str, Any]) -> None:
    """``command`` has succeeded. Raises ServerFailed with its last words."""
    made = subprocess.run(  # noqa: S603  # our own words only
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env=_environment(),
        **credentials,
    )
    if made.returncode:
        raise ServerFailed(f"{command[0]}: {made.stderr.strip()[-500:]}")


def _open_private(path: str, flags: int) -> int:
    """A log has what statements had, which is not for others. One that is there becomes so."""
    found = os.open(path, flags, 0o600)
    os.fchmod(found, 0o600)
    return found


def _environment() -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
