"""What the plugin costs: a pytest start that does not use it, and each test of a run that does.

Rounds with and without it alternate. Figures are processor time, which neighbours on the machine
disturb less than the clock's. The disk's part of a test, one sync, is processor time of nobody.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks import lab
from benchmarks.figures import LOWER, Effort, Figure, Figures, Measurement, Row, alternate

STARTS: Final = 15  # rounds of each
ROUNDS: Final = 5
LIMIT_S: Final = 60.0
START: Final = Row(
    name="plugin-start",
    title="what the unused plugin adds to a pytest start",
    unit="ms",
    better=LOWER,
    goal=20,
)
EACH: Final = Row(
    name="plugin-test", title="what recording adds to a test", unit="ms", better=LOWER, goal=2
)
TESTS: Final = 300
OFF: Final = ("-p", "no:spec11")
# Compiled files are kept, as they are for everybody; the slow plugin of hypothesis stays out.
PYTEST: Final = (
    *("env", "-u", "PYTHONDONTWRITEBYTECODE", "-u", "PYTEST_ADDOPTS"),
    *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:hypothesispytest"),
)
PLAIN: Final = "def test_plain():\n    assert 1 + 1 == 2\n"
MARKED: Final = f"""
import pytest

@pytest.mark.S00
@pytest.mark.claim("S00.stack-answers")
@pytest.mark.parametrize("number", range({TESTS}))
def test_marked(number):
    assert number >= 0
    assert number < {TESTS}
    assert number + 1 > number
"""
# The processor time between the first test's beginning and the last one's end.
STOPWATCH: Final = """
import json, pathlib, time

TIMES = []

def pytest_runtest_logstart():
    TIMES.append(time.process_time())

def pytest_runtest_logfinish():
    TIMES.append(time.process_time())

def pytest_unconfigure():
    pathlib.Path("took.json").write_text(json.dumps(TIMES[-1] - TIMES[0]))

def pytest_configure(config):
    for name in ("S00", "claim"):
        config.addinivalue_line("markers", f"{name}: also without the plugin")
"""
TARGET: Final = """
import pytest
from pytest_spec11.target import Process, Target

@pytest.hookimpl(optionalhook=True)
def pytest_spec11_target(config):
    never = Process(name="never", command=("false",), ready="ready")
    return Target(name="nothing", processes=(never,), app_version="v1")
"""


def measure(effort: Effort) -> Figures:
    """With the plugin, without it, and without it again, which shows the noise."""
    with tempfile.TemporaryDirectory(prefix="spec11-bench-") as made:
        folder = Path(made)
        (folder / "test_plain.py").write_text(PLAIN)
        starts = _subtract(partial(_start, folder), effort.count_rounds(STARTS))
        (folder / "conftest.py").write_text(STOPWATCH + TARGET)
        (folder / "test_marked.py").write_text(MARKED)
        tests = _subtract(partial(_run_tests, folder), effort.count_rounds(ROUNDS))
    return {START.name: starts, EACH.name: tests}


def _subtract(run: Callable[[tuple[str, ...]], float], rounds: int) -> Figure:
    """The median of the differences of each pair."""
    sides = {"on": partial(run, ()), "off": partial(run, OFF), "twin": partial(run, OFF)}
    found = alternate(sides, rounds)
    added = _pair_differences(found["on"], found["off"])
    same = _pair_differences(found["twin"], found["off"])
    noise = statistics.median(abs(difference) for difference in same)
    value = statistics.median(added)
    return Figure(value=value, rounds=tuple(added), noise=noise, parts=found)


def _pair_differences(ours: Sequence[float], floor: Sequence[float]) -> list[float]:
    return [mine - other for mine, other in zip(ours, floor, strict=True)]


def _start(folder: Path, words: tuple[str, ...]) -> float:
    """Milliseconds of processor time of a whole run of one test."""
    return _pytest(folder, "test_plain.py", *words)


def _run_tests(folder: Path, words: tuple[str, ...]) -> float:
    """Milliseconds of processor time that each test takes, of a run with many."""
    _pytest(folder, "test_marked.py", *words)
    took: float = json.loads((folder / "took.json").read_text())
    return took * 1000 / TESTS


def _pytest(folder: Path, *words: str) -> float:
    """Milliseconds of processor time that a run took.

    Its status says nothing here, since nothing is looked at and so nothing proven.
    """
    ended = lab.run_to_end((*PYTEST, *words), folder, {}, LIMIT_S)
    if "passed" not in ended.said:
        raise lab.MeasurementFailed(f"{' '.join(words)}: {ended.said}")
    return ended.cpu_s * 1000


MEASUREMENT: Final = Measurement(name="plugin", rows=(START, EACH), measure=measure)
