"""Where a server keeps its files, and the one lock that says whose they are now."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from engine.errors import InUse, Misconfigured
from engine.postgres.account import PRIVATE, Account

SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108  # a fresh private directory is made in it
SHORT: Final = Path("/tmp")  # noqa: S108  # a socket's path has 107 bytes at most; owner checked
ROOMY: Final = 512 * 2**20
LOCK: Final = "lock"
MADE: Final = frozenset({LOCK, "cluster", "cluster.new", "postgres.log", "lost+found"})
WRITABLE: Final = 0o002
HAND_OVER_S: Final = 8.0  # a server whose owner was killed is gone by then
LOOK_EVERY_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class Place:
    """A directory with the cluster, the log and the lock of one server."""

    root: Path

    @property
    def cluster(self) -> Path:
        """The data directory proper."""
        return self.root / "cluster"

    @property
    def log(self) -> Path:
        """What the server prints."""
        return self.root / "postgres.log"

    @property
    def socket_dir(self) -> Path:
        """Where the socket is, the same for everyone who knows the directory."""
        key = sha256(str(self.root.resolve()).encode()).hexdigest()[:12]
        return SHORT / f"spec11-{os.geteuid()}-{key}"

    @property
    def is_initialised(self) -> bool:
        """Whether there is a whole cluster."""
        return (self.cluster / "PG_VERSION").exists()

    def prepare(self, account: Account) -> None:
        """Directories of ``account``, the socket's too. Raises Misconfigured."""
        account.require_reach(self.root)
        account.lend(self.root)
        with suppress(FileExistsError):
            self.socket_dir.mkdir(mode=PRIVATE)
        owner = self.socket_dir.lstat().st_uid
        if self.socket_dir.is_symlink() or owner not in {os.geteuid(), account.uid}:
            raise Misconfigured(f"{self.socket_dir} belongs to somebody else: remove it")
        account.lend(self.socket_dir)

    @contextmanager
    def claim_place(self, owner: int) -> Iterator[int]:
        """The descriptor of the lock; whoever inherits it keeps the place. Raises InUse.

        A server of the same ``owner`` or of one that is gone is ending: it is waited for.
        """
        self._require_own()
        self.root.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        with (self.root / LOCK).open("a+b") as lock:
            self._take(lock.fileno(), owner)
            lock.truncate(0)
            lock.write(str(owner).encode())
            lock.flush()
            yield lock.fileno()

    def _require_own(self) -> None:
        """The directory is new, or has nothing but what we make. Raises Misconfigured."""
        try:
            found = {each.name for each in self.root.iterdir()}
        except FileNotFoundError:
            return
        if others := found - MADE:
            raise Misconfigured(
                f"{self.root} has files that no server made, as {min(others)!r}:"
                " choose an empty directory or a new one"
            )
        if self.root.stat().st_mode & WRITABLE:
            raise Misconfigured(f"everybody may write to {self.root}: choose another directory")

    def _take(self, lock: int, owner: int) -> None:
        end = time.monotonic() + HAND_OVER_S
        while not _try_lock(lock):
            holder = os.pread(lock, 20, 0).decode()
            if _another(holder, owner) or time.monotonic() > end:
                raise InUse(f"data directory {self.root} is in use by process {holder}")
            time.sleep(LOOK_EVERY_S)  # noqa: TID251  # the launcher's own bounded wait


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _another(pid: str, owner: int) -> bool:
    """Whether some other live process has this number; one still unwritten is just starting."""
    if pid == str(owner):
        return False
    try:
        os.kill(int(pid or 0), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def throw_away() -> Place:
    """A fresh directory: in memory when there is plenty, else where paths are short."""
    roomy = SHORT
    if os.access(SHARED_MEMORY, os.W_OK):
        free = os.statvfs(SHARED_MEMORY)
        if free.f_bavail * free.f_frsize >= ROOMY:
            roomy = SHARED_MEMORY
    return Place(Path(tempfile.mkdtemp(prefix="spec11-", dir=roomy)))
