"""What the plugin costs: a pytest start that does not use it, and each test of a run that does.

Rounds with and without it alternate; what is printed and bounded are medians of processor time,
which neighbours on the machine disturb less than the clock's. The disk's part of a test, one sync,
is processor time of nobody and printed beside. Exits 1 when a bound is exceeded.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

START_MS: Final = 20.0
TEST_MS: Final = 2.0
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


def main() -> int:
    """0 when both costs are within their bounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        start = _starts(Path(folder), rounds)
        each = _tests(Path(folder), max(3, rounds // 4))
    return int(start > START_MS or each > TEST_MS)


def _starts(folder: Path, rounds: int) -> float:
    """Milliseconds that the unused plugin adds to a start."""
    (folder / "test_plain.py").write_text(PLAIN)
    on, off = _medians(rounds, lambda words: _pytest(folder, "test_plain.py", *words))
    print(f"a start, {rounds} rounds: {off:.0f} ms without, {on:.0f} ms with the unused plugin")
    print(f"  the plugin adds {on - off:.1f} ms (bound {START_MS:g})")
    return on - off


def _tests(folder: Path, rounds: int) -> float:
    """Milliseconds that recording adds to a test with three assertions."""
    (folder / "conftest.py").write_text(STOPWATCH + TARGET)
    (folder / "test_marked.py").write_text(MARKED)

    def measured(words: tuple[str, ...]) -> float:
        _pytest(folder, "test_marked.py", *words)
        took: float = json.loads((folder / "took.json").read_text())
        return took * 1000 / TESTS

    on, off = _medians(rounds, measured)
    print(
        f"a test, {rounds} rounds of {TESTS}: {off:.2f} ms without, {on:.2f} ms with the recorder"
    )
    print(f"  the recorder adds {on - off:.2f} ms (bound {TEST_MS:g}), and a sync of the disk,")
    print(f"  which took {_sync_ms(folder):.2f} ms by the clock")
    return on - off


def _medians(rounds: int, measure: Callable[[tuple[str, ...]], float]) -> tuple[float, float]:
    """The median with the plugin and that without it; the first round only fills the caches."""
    took: dict[tuple[str, ...], list[float]] = {(): [], OFF: []}
    for _ in range(rounds + 1):
        for words, times in took.items():
            times.append(measure(words))
    on, off = (statistics.median(times[1:]) for times in took.values())
    return on, off


def _pytest(folder: Path, *words: str) -> float:
    """Milliseconds of processor time that a run took.

    Its status says nothing here, since nothing is looked at and so nothing proven.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(  # noqa: S603  # our own interpreter
        (*PYTEST, *words), cwd=folder, capture_output=True, text=True, check=False
    )
    if "passed" not in done.stdout:
        raise SystemExit(f"{' '.join(words)}: {done.stdout}{done.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000


def _sync_ms(folder: Path) -> float:
    """The median of appending a record to a file and having it on the disk."""
    took = []
    with (folder / "record").open("ab") as file:
        for _ in range(TESTS):
            begin = time.perf_counter()
            file.write(b"x" * 400)
            file.flush()
            os.fsync(file.fileno())
            took.append((time.perf_counter() - begin) * 1000)
    return statistics.median(took)


if __name__ == "__main__":
    sys.exit(main())
