from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass

import pytest

from pytest_spec11 import waiting
from pytest_spec11.errors import NotObserved
from pytest_spec11.waiting import Patience, Stopwatch, eventually


@dataclass
class Machine:
    """A machine whose clock a test turns on: so many seconds pass, so many processors idle."""

    now_s: float = 1000.0
    idle_s: float = 5000.0

    def patience(self, bound_s: float) -> Patience:
        return Patience(bound_s, lambda: self.now_s, lambda: self.idle_s)

    def over_after(self, patience: Patience, *, idle: float, every_s: float = 0.02) -> float:
        """The seconds until it was over, with so many processors idle."""
        began_s = self.now_s
        while not patience.is_over():
            self.now_s += every_s
            self.idle_s += idle * every_s
        return self.now_s - began_s


@pytest.mark.parametrize("idle", [0.5, 1.0, 64.0])
def test_with_a_processor_to_spare_a_bound_is_what_it_says(idle: float) -> None:
    machine = Machine()

    assert machine.over_after(machine.patience(10), idle=idle) == pytest.approx(10, abs=0.3)


@pytest.mark.parametrize(("idle", "lasts_s"), [(0.25, 20), (0.1, 50), (0.0, 120), (0.001, 120)])
def test_beside_others_it_lasts_longer_and_never_for_ever(idle: float, lasts_s: float) -> None:
    machine = Machine()

    assert machine.over_after(machine.patience(10), idle=idle) == pytest.approx(lasts_s, abs=0.6)


def test_what_others_took_is_given_back_once_they_are_gone() -> None:
    machine = Machine()
    patience = machine.patience(10)
    while machine.now_s < 1040:
        assert not patience.is_over()
        machine.now_s += 0.02

    assert machine.over_after(patience, idle=1) == pytest.approx(10, abs=0.3)


def test_one_long_look_counts_as_many_short_ones() -> None:
    machine = Machine()
    patience = machine.patience(1)
    machine.now_s += 5
    assert not patience.is_over()
    machine.now_s += 5
    machine.idle_s += 2.5

    assert patience.is_over()


def test_no_time_is_over_at_once() -> None:
    assert Machine().patience(0).is_over()


def test_the_machine_counts_its_idle_processors() -> None:
    """Ours may be busy all the while, but not for longer than the machine has been up."""
    read = waiting._idle_reader()  # noqa: SLF001  # what tells a busy machine from an idle one
    first = read()
    time_s = time.monotonic()
    eventually(lambda: time.monotonic() > time_s + 0.1, deadline_s=10)

    assert 0 <= first <= read()


def test_a_wait_says_what_others_took_of_it() -> None:
    machine = Machine()
    patience = machine.patience(2)
    assert patience.description == "2 s"
    machine.now_s += 7.4
    assert patience.description == "2 s (7 s on a busy machine)"


@pytest.mark.parametrize(
    ("passed_s", "idle", "own_s"),
    [(0.2, 0, 0.2), (6, 2, 6), (6, 0.5, 6), (6, 0.25, 3), (6, 0, 0.5), (60, 0.01, 5)],
)
def test_a_stopwatch_leaves_out_what_others_took(
    passed_s: float, idle: float, own_s: float
) -> None:
    machine = Machine()
    watch = Stopwatch(lambda: machine.now_s, lambda: machine.idle_s)
    machine.now_s += passed_s
    machine.idle_s += idle * passed_s

    assert watch.own_s == pytest.approx(own_s)
    assert watch.stretch == pytest.approx(1 if passed_s < 1 else passed_s / own_s)


def test_what_never_comes_is_given_up_with_the_last_reading() -> None:
    readings = iter(range(1000))

    with pytest.raises(NotObserved, match=r"not within 0\.05 s.*, last reading \d+$"):
        eventually(lambda: next(readings), deadline_s=0.05, until=lambda _: False)


def test_waiting_needs_nothing_but_the_standard_library() -> None:
    words = "import sys; sys.path.append('.'); import pytest_spec11.waiting as w; w.Patience(1)"

    subprocess.run([sys.executable, "-S", "-E", "-c", words], check=True)  # noqa: S603  # our own words
