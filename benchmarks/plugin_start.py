"""What the plugin costs: a pytest start that does not use it, and each test of a run that does.

Prints medians; exits 1 when one is over its bound. Run it from anywhere, on a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
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
# The time between the first test's beginning and the last one's end, without any start-up.
STOPWATCH: Final = """
import json, pathlib, time

TIMES = []

def pytest_runtest_logstart():
    TIMES.append(time.perf_counter())

def pytest_runtest_logfinish():
    TIMES.append(time.perf_counter())

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
    """Milliseconds that the unused plugin adds to a start: the difference of two medians."""
    (folder / "test_plain.py").write_text(PLAIN)
    took: dict[tuple[str, ...], list[float]] = {(): [], OFF: []}
    for number in range(rounds + 1):
        for words, times in took.items():
            begin = time.perf_counter()
            _pytest(folder, "test_plain.py", *words)
            if number:  # the first of each fills the caches
                times.append((time.perf_counter() - begin) * 1000)
    on, off = (statistics.median(times) for times in took.values())
    print(f"a start, {rounds} rounds: {off:.0f} ms without, {on:.0f} ms with the unused plugin")
    print(f"  the plugin adds {on - off:.1f} ms (bound {START_MS:g})")
    return on - off


def _tests(folder: Path, rounds: int) -> float:
    """Milliseconds that recording adds to a test, the disk's own time taken out."""
    (folder / "conftest.py").write_text(STOPWATCH + TARGET)
    (folder / "test_marked.py").write_text(MARKED)
    took: dict[tuple[str, ...], list[float]] = {(): [], OFF: []}
    for number in range(rounds + 1):
        for words, times in took.items():
            _pytest(folder, "test_marked.py", *words)
            if number:
                times.append(json.loads((folder / "took.json").read_text()) * 1000 / TESTS)
    on, off = (statistics.median(times) for times in took.values())
    sync = _sync_ms(folder)
    print(
        f"a test, {rounds} rounds of {TESTS}: {off:.2f} ms without, {on:.2f} ms with the recorder"
    )
    print(
        f"  one fsync here takes {sync:.2f} ms, the recorder adds {on - off - sync:.2f} ms beside"
    )
    print(f"  it (bound {TEST_MS:g})")
    return on - off - sync


def _pytest(folder: Path, *words: str) -> None:
    """A run; its status says nothing here, since nothing is looked at and so nothing proven."""
    done = subprocess.run(  # noqa: S603  # our own interpreter
        (*PYTEST, *words), cwd=folder, capture_output=True, text=True, check=False
    )
    if "passed" not in done.stdout:
        raise SystemExit(f"{' '.join(words)}: {done.stdout}{done.stderr}")


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
