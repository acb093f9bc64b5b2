"""The budget of `make test`: all time counts, and what is over it is red."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
BURN = "import time\nend = time.process_time() + {s}\nwhile time.process_time() < end: pass\n"
# Its parent ends at once, so that only who adopts it has it as a child; we wait until it has ended.
ORPHAN = """
import os, select, sys
read_end, write_end = os.pipe()
if os.fork() == 0:
    if os.fork() == 0:
        os.write(write_end, str(os.getpid()).encode())
        exec(sys.argv[1])
    os._exit(0)
burns = select.poll()
burns.register(os.pidfd_open(int(os.read(read_end, 20))), select.POLLIN)
burns.poll()
"""


def run(budget_s: float, *command: str) -> tuple[int, str]:
    made = subprocess.run(  # noqa: S603  # our own words only
        [sys.executable, "-m", "tests.processor_time", str(budget_s), *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return made.returncode, made.stdout


def python(text: str) -> tuple[str, ...]:
    return sys.executable, "-c", text


def used_s(said: str) -> float:
    found = re.search(r"^processor time: ([\d.]+) s of at most", said, re.MULTILINE)
    assert found, said
    return float(found[1])


def test_within_its_budget_a_command_has_its_own_status() -> None:
    assert run(60, *python("pass"))[0] == 0
    assert run(60, *python("raise SystemExit(5)"))[0] == 5
    assert run(60, *python("import os; os.kill(os.getpid(), 9)"))[0] == 137


def test_over_its_budget_it_is_red_and_says_where_to_look() -> None:
    status, said = run(0.5, *python(BURN.format(s=1)))

    assert status == 3
    assert used_s(said) >= 1
    assert "over budget" in said


def test_who_fails_over_its_budget_keeps_the_status_of_its_failure() -> None:
    assert run(0.1, *python(BURN.format(s=0.5) + "raise SystemExit(1)"))[0] == 1


def test_the_time_of_a_process_that_outlived_its_parent_counts() -> None:
    _, said = run(60, *python(ORPHAN), BURN.format(s=1))

    assert used_s(said) >= 1
