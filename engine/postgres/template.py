"""Clusters made once and kept, so that the next server begins as a copy."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from engine.postgres.server import EmbeddedServer

UNUSED_S: Final = 14 * 24 * 3600.0  # a template that nobody took for this long is of old code


def keep_template(cache: Path, key: str, furnish: Callable[[EmbeddedServer], None]) -> Path:
    """A cluster below ``cache`` that ``furnish`` has filled, made unless ``key`` is there already.

    Whoever comes second waits for the first; one killed half-way leaves nothing that counts.
    Raises OSError when ``cache`` cannot be written.
    """
    cache.mkdir(parents=True, exist_ok=True)
    wanted = cache / key
    if not wanted.exists():
        with _alone(cache / "lock"):
            if not wanted.exists():
                _make(Path(tempfile.mkdtemp(prefix="making-", dir=cache)), wanted, furnish)
                _forget(cache)
    os.utime(wanted)
    return wanted


def _make(site: Path, wanted: Path, furnish: Callable[[EmbeddedServer], None]) -> None:
    with EmbeddedServer(data=site, durable=False) as server:
        furnish(server)
    server.place.cluster.rename(wanted)
    shutil.rmtree(site)


def _forget(cache: Path) -> None:
    oldest = time.time() - UNUSED_S
    for each in cache.glob("*-*"):
        if each.stat().st_mtime < oldest:
            shutil.rmtree(each)


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    with lock.open("ab") as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
