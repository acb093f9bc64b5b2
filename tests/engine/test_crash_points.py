"""A crash point is armed by its name alone, and it is the process that dies, as by SIGKILL."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from engine import crash_points
from pytest_spec11.waiting import GIVE_UP_S

PASSES = """
import sys
from engine import crash_points
from pytest_spec11.waiting import GIVE_UP_S
crash_points.arm(sys.argv[1], int(sys.argv[2]))
for name in sys.argv[3:]:
    crash_points.pass_point(name)
    print(name, flush=True)
"""


def pass_points(armed: str, nth: int, *names: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", PASSES, armed, str(nth), *names]
    return subprocess.run(words, capture_output=True, text=True, timeout=GIVE_UP_S, check=False)  # noqa: S603  # our own words only


def test_the_nth_pass_of_the_armed_point_is_the_last() -> None:
    a, b = crash_points.POINTS[:2]

    ended = pass_points(b, 2, a, b, a, b, a)

    assert ended.returncode == -signal.SIGKILL
    assert ended.stdout.split() == [a, b, a]


def test_unarmed_every_point_is_passed() -> None:
    assert pass_points("", 1, *crash_points.POINTS).stdout.split() == [*crash_points.POINTS]


def test_points_have_names_of_their_own() -> None:
    assert len(set(crash_points.POINTS)) == len(crash_points.POINTS)


@pytest.mark.parametrize("text", ["worker.tick.after", "worker.tick.after:1"])
def test_a_name_alone_means_its_first_pass(text: str) -> None:
    assert crash_points.parse_point(text) == ("worker.tick.after", 1)


@pytest.mark.parametrize(
    "text", ["", "worker", "worker.tick.after:", "worker.tick.after:0", "worker.tick.after:10000",
             "worker.tick.after:1 ", "api.nothing.received"],
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a crash point"):
        crash_points.parse_point(text)
