"""One `up` for the tests of a module that leave it as it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.processes import Up, nothing_is_left, running_up


@pytest.fixture(scope="module")
def standing(directories: Path) -> Iterator[Up]:
    """A running ``up`` that the tests of a module share and leave running."""
    (directories / "standing").mkdir(mode=0o711)
    with running_up(directories / "standing" / "data") as up:
        up.url()
        yield up
    nothing_is_left(up.data)
