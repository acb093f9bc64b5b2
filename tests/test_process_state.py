"""A process that ends while it is asked for is gone, and no error."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from tests.process_state import is_alive, is_pid_alive

WAITS = "import sys; sys.stdin.read()"


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process that runs until its input ends."""
    with subprocess.Popen([sys.executable, "-c", WAITS], stdin=subprocess.PIPE) as made:  # noqa: S603  # our own words only
        yield made


def test_a_process_is_alive_until_it_has_ended(child: subprocess.Popen[bytes]) -> None:
    process = psutil.Process(child.pid)
    assert is_alive(process)
    assert is_pid_alive(child.pid)

    child.kill()
    child.wait()

    assert not is_alive(process)
    assert not is_pid_alive(child.pid)


def test_a_process_that_ends_between_two_looks_is_gone(
    child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    process = psutil.Process(child.pid)
    monkeypatch.setattr(process, "is_running", lambda: True)

    child.kill()
    child.wait()

    assert not is_alive(process)
