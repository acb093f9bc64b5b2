"""A Postgres server of our own: one data directory, a unix socket, peer authentication."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Self

import psycopg

from engine.errors import EngineError, Misconfigured
from engine.postgres import binaries

ROLES: Final = ("postgres", "spec11", "spec11_reader")
PORT: Final = 5432  # names the socket file; nothing listens on TCP
READY_S: Final = 30.0
STOP_S: Final = 15.0
THROW_AWAY: Final = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
SETTINGS: Final = {
    "listen_addresses": "",
    "unix_socket_permissions": "0777",  # peer authentication decides who gets in
    "max_connections": "300",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "jit": "off",
    "log_min_messages": "warning",
    "autovacuum_naptime": "15s",
}

# The owner holds the other end of standard input: end of file means it is gone, however it went.
WATCHDOG: Final = """
exec 3<&0 </dev/null
"$@" </dev/null 3<&- & server=$!
{ read _ ; kill -INT $server; n=0
  while kill -0 $server && [ $n -lt 50 ]; do sleep 0.1; n=$((n+1)); done; kill -QUIT $server
} <&3 2>/dev/null & watch=$!
wait $server; code=$?
kill $watch 2>/dev/null
[ -n "$SPEC11_REMOVE" ] && rm -rf "$SPEC11_REMOVE"
exit $code
"""


class ServerFailed(EngineError):
    """The server did not start; the message ends with its own words."""


@dataclass(slots=True)
class EmbeddedServer:
    """A server on ``data`` (None: a temporary directory, removed at the end, not durable).

    Use as a context manager. The server ends with the process that entered it, even on SIGKILL.
    """

    data: Path | None = None
    seed: Path | None = None  # a data directory to copy instead of running initdb
    root: Path = field(init=False)
    _process: subprocess.Popen[bytes] | None = field(init=False, default=None)

    def __enter__(self) -> Self:
        account = _account()
        programs = binaries.find()
        programs = binaries.reachable(programs) if account else programs
        self.root = (
            Path(tempfile.mkdtemp(prefix="spec11-", dir=_fast_place()))
            if self.data is None
            else self.data
        )
        self.root.mkdir(parents=True, exist_ok=True)
        self._lend(self.root, account)
        if not (self.cluster / "PG_VERSION").exists():
            self._create(programs, account)
        self.socket_dir.mkdir(mode=0o711, exist_ok=True)
        self._lend(self.socket_dir, account)
        self._start(programs, account)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def cluster(self) -> Path:
        """The data directory proper."""
        return self.root / "cluster"

    @property
    def socket_dir(self) -> Path:
        """Where the socket is: short, since a socket's path has 107 bytes at most."""
        key = sha256(str(self.root.resolve()).encode()).hexdigest()[:12]
        return Path("/tmp") / f"spec11-{os.geteuid()}-{key}"  # noqa: S108  # owned and checked

    def dsn(self, database: str, role: str = "spec11") -> str:
        """How ``role`` reaches ``database``."""
        return f"host={self.socket_dir} port={PORT} user={role} dbname={database}"

    def stop(self) -> None:
        """End the server and wait for it; a temporary directory goes with it."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            process.wait(STOP_S)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            shutil.rmtree(self.socket_dir, ignore_errors=True)
            if self.data is None:
                shutil.rmtree(self.root, ignore_errors=True)

    @staticmethod
    def _lend(path: Path, account: pwd.struct_passwd | None) -> None:
        path.chmod(0o711)
        if account:
            os.chown(path, account.pw_uid, account.pw_gid)

    def _create(self, programs: Path, account: pwd.struct_passwd | None) -> None:
        shutil.rmtree(self.cluster, ignore_errors=True)
        if self.seed is not None:
            command = ["cp", "-a", str(self.seed), str(self.cluster)]
        else:
            command = [str(programs / "initdb"), "-D", str(self.cluster), "-U", "postgres"]
            command += ["-A", "peer", "-E", "UTF8", "--locale=C.UTF-8", "--no-instructions"]
            command += ["--no-sync"] if self.data is None else []
        made = subprocess.run(  # noqa: S603  # our own words only
            command,
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env=_environment(),
            **({} if self.seed else _as(account)),
        )
        if made.returncode:
            raise ServerFailed(f"{command[0]}: {made.stderr.strip()[-500:]}")
        if self.seed is not None:
            self._give(account)
        me = pwd.getpwuid(os.geteuid()).pw_name
        (self.cluster / "pg_hba.conf").write_text("local all all peer map=spec11\n")
        (self.cluster / "pg_ident.conf").write_text(
            "".join(f"spec11 {me} {role}\n" for role in ROLES)
        )

    def _give(self, account: pwd.struct_passwd | None) -> None:
        if account is None:
            return
        for path in (self.cluster, *self.cluster.rglob("*")):
            os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)

    def _start(self, programs: Path, account: pwd.struct_passwd | None) -> None:
        settings = {
            **SETTINGS,
            **(THROW_AWAY if self.data is None else {}),
            "unix_socket_directories": str(self.socket_dir),
        }
        command = [str(programs / "postgres"), "-D", str(self.cluster), "-p", str(PORT)]
        command += [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        log = self.root / "postgres.log"
        with log.open("ab") as sink:
            self._process = subprocess.Popen(  # noqa: S603  # our own words only
                ["/bin/sh", "-c", WATCHDOG, "spec11-postgres", *command],
                stdin=subprocess.PIPE,
                stdout=sink,
                stderr=sink,
                cwd="/",
                start_new_session=True,
                env={
                    **_environment(),
                    "SPEC11_REMOVE": str(self.root) if self.data is None else "",
                },
                **_as(account),
            )
        self._wait(log)

    def _wait(self, log: Path) -> None:
        """Return when a connection is answered: a pid file may be stale, an answer is not."""
        end = time.monotonic() + READY_S
        while not _answers(self.dsn("postgres", "postgres")):
            gone = self._process is None or self._process.poll() is not None
            if gone or time.monotonic() > end:
                words = log.read_text(errors="replace")[-1000:] if log.exists() else ""
                self.stop()
                raise ServerFailed(f"postgres did not start: {words.strip()}")
            time.sleep(0.005)  # noqa: TID251  # the launcher's own bounded wait


def _answers(dsn: str) -> bool:
    try:
        psycopg.connect(dsn, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def _account() -> pwd.struct_passwd | None:
    """The unprivileged account that root lends the server to; None when we are not root."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    for name in ("postgres", "nobody"):
        if name in known:
            return known[name]
    raise Misconfigured("root needs an account named postgres or nobody to run Postgres as")


def _as(account: pwd.struct_passwd | None) -> Mapping[str, Any]:
    if account is None:
        return {}
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _environment() -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def _fast_place() -> str:
    """Memory for throw-away data when there is plenty, else the short temporary directory."""
    shm = Path("/dev/shm")  # noqa: S108  # a fresh private directory is made in it
    roomy = 512 * 2**20
    if shm.is_dir():
        free = os.statvfs(shm)
        if os.access(shm, os.W_OK) and free.f_bavail * free.f_frsize >= roomy:
            return str(shm)
    return "/tmp"  # noqa: S108  # as above


@contextmanager
def connected(dsn: str) -> Iterator[psycopg.Connection[Any]]:
    """An autocommit connection for administration."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield connection
