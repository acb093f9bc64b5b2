"""A directory that the account which runs Postgres for root may enter, too."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.platform.processes import Up, nothing_is_left, running_up

MEMORY = Path("/dev/shm")  # noqa: S108  # a fresh private directory is made in it


@pytest.fixture(scope="module")
def directories() -> Iterator[Path]:
    """Where this module's data directories are; in memory when there is such a place."""
    place = MEMORY if os.access(MEMORY, os.W_OK) else None
    made = Path(tempfile.mkdtemp(prefix="spec11-test-", dir=place))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def data(directories: Path) -> Iterator[Path]:
    """A data directory of this test alone; at last nothing works on it."""
    parent = Path(tempfile.mkdtemp(dir=directories))
    parent.chmod(0o711)
    made = parent / "data"
    yield made
    nothing_is_left(made, within_s=10)


@pytest.fixture(scope="module")
def standing(directories: Path) -> Iterator[Up]:
    """A running ``up`` that the tests of a module share and leave running."""
    (directories / "standing").mkdir(mode=0o711)
    with running_up(directories / "standing" / "data") as up:
        up.url()
        yield up
    nothing_is_left(up.data)
