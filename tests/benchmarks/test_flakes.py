from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from benchmarks import flake_ledger
from benchmarks.flake_ledger import BadLedger
from pytest_spec11.waiting import GIVE_UP_S, eventually

ROOT = Path(__file__).parents[2]
# Green at first, red from the second time on.
SOMETIMES = """
from pathlib import Path

def test_always():
    pass

def test_sometimes():
    times = Path("times")
    before = times.read_text() if times.exists() else ""
    times.write_text(before + "x")
    assert before == ""
"""
FOR_EVER = """
import threading
from pathlib import Path

def test_it_waits():
    Path("waits").touch()
    threading.Event().wait()
"""


def begin(place: Path, text: str, *words: str) -> subprocess.Popen[str]:
    """The tests of ``text`` are run again and again in ``place``."""
    (place / "test_own.py").write_text(text)
    return subprocess.Popen(  # noqa: S603  # our own interpreter
        [sys.executable, "-m", "benchmarks.flakes", "--workers", "0", *words, "test_own.py"],
        cwd=place,
        env={"PATH": os.defpath, "PYTHONPATH": str(ROOT)},
        text=True,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )


def test_a_test_that_is_red_in_some_rounds_is_named_with_its_seed(tmp_path: Path) -> None:
    words = ("--plain", "2", "--busy", "1", "--burners", "1", "--seed", "40")

    with begin(tmp_path, SOMETIMES, *words) as command:
        said, _ = command.communicate(timeout=GIVE_UP_S)

    lines = said.splitlines()
    assert command.returncode == 1
    assert lines[:3] == [
        "plain-0: seed 40, 0 red", "plain-1: seed 41, 1 red", "busy-2: seed 42, 1 red",
    ]  # fmt: skip
    assert [line.split("  ")[0] for line in lines[3:5]] == ["test_own.py::test_sometimes"] * 2
    assert lines[5:] == ["all rounds of this tree: 2 plain (1 red), 1 busy (1 red)"]
    assert [", seed 41, " in lines[3], ", seed 42, " in lines[4]] == [True, True]
    assert len([*tmp_path.glob(".spec11/flakes-*/*.log")]) == 3


def test_rounds_that_are_green_end_with_0(tmp_path: Path) -> None:
    with begin(tmp_path, "def test_always(): pass", "--plain", "1", "--busy", "0") as command:
        said, _ = command.communicate(timeout=GIVE_UP_S)

    assert (command.returncode, said.splitlines()[0].partition(",")[2]) == (0, " 0 red")


def search_in_parts(place: Path, text: str, *parts: str) -> list[tuple[int, str]]:
    """The status and the last line of each part: a kind, of which one round is run."""
    ends = []
    for kind in parts:
        words = ("--plain", "0", "--busy", "0", f"--{kind}", "1", "--burners", "1")
        with begin(place, text, *words) as command:
            said, _ = command.communicate(timeout=GIVE_UP_S)
        ends.append((command.returncode, said.splitlines()[-1]))
    return ends


def test_parts_of_a_search_add_up(tmp_path: Path) -> None:
    ends = search_in_parts(tmp_path, "def test_always(): pass", "plain", "busy", "plain")

    assert ends == [
        (0, "all rounds of this tree: 1 plain (0 red), 0 busy (0 red)"),
        (0, "all rounds of this tree: 1 plain (0 red), 1 busy (0 red)"),
        (0, "all rounds of this tree: 2 plain (0 red), 1 busy (0 red)"),
    ]


def test_a_red_round_of_an_earlier_part_stays_red_until_the_tree_changes(tmp_path: Path) -> None:
    (tmp_path / ".spec11").mkdir()  # it is no part of the tree
    once = SOMETIMES.replace('Path("times")', 'Path(".spec11/times")').replace(
        'before == ""', 'before != ""'
    )

    same = search_in_parts(tmp_path, once, "plain", "plain")
    changed = search_in_parts(tmp_path, f"{once}\n# changed", "plain")

    assert same == [
        (1, "all rounds of this tree: 1 plain (1 red), 0 busy (0 red)"),
        (1, "all rounds of this tree: 2 plain (1 red), 0 busy (0 red)"),
    ]
    assert changed == [(0, "all rounds of this tree: 1 plain (0 red), 0 busy (0 red)")]


def test_a_ledger_that_cannot_be_read_is_named_with_its_line(tmp_path: Path) -> None:
    ledger = tmp_path / ".spec11" / "flakes.ndjson"
    ledger.parent.mkdir()
    ledger.write_text('{"tree": 1}\n')

    with pytest.raises(BadLedger, match=r"flakes\.ndjson, line 1: "):
        flake_ledger.read("any", ["tests"], ledger)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGKILL])
def test_whatever_ends_it_ends_its_burners(tmp_path: Path, signum: signal.Signals) -> None:
    words = ("--plain", "0", "--busy", "1", "--burners", "2")

    with begin(tmp_path, FOR_EVER, *words) as command:
        eventually((tmp_path / "waits").exists, deadline_s=60)
        began = psutil.Process(command.pid).children(recursive=True)
        command.send_signal(signum)
        status = command.wait(GIVE_UP_S)
        burners = [each for each in began if _burns(each)]
        rest = began if signum == signal.SIGINT else burners
        eventually(lambda: not any(each.is_running() for each in rest), deadline_s=60)
        for each in began:
            if each.is_running():
                each.kill()

    assert status == (130 if signum == signal.SIGINT else -signum)


def _burns(process: psutil.Process) -> bool:
    try:
        return "getppid" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return False
