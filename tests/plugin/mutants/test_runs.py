"""Runs that a campaign starts: none outlives it, and none keeps it for ever."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from pytest_spec11.cli.runs import Runs
from pytest_spec11.mutants.orders import Orders
from pytest_spec11.waiting import eventually


def find_processes(folder: Path) -> Iterator[int]:
    """The processes that work in ``folder``."""
    for each in psutil.process_iter():
        with suppress(psutil.Error):
            if each.status() != psutil.STATUS_ZOMBIE and each.cwd() == str(folder):
                yield each.pid


def test_a_run_that_waits_for_ever_is_ended_and_counts_as_dead(tmp_path: Path) -> None:
    with Runs(tmp_path, jobs=1, deadline_s=2.0) as runs:
        orders = Orders(out=str(tmp_path / "found"))
        status = runs.run_controlled(["sleep", "600"], tmp_path / "log", orders)

    assert status == -1
    eventually(lambda: [*find_processes(tmp_path)] == [], deadline_s=20)


def test_the_status_of_a_run_that_ends_is_its_own(tmp_path: Path) -> None:
    with Runs(tmp_path, jobs=1) as runs:
        orders = Orders(out=str(tmp_path / "found"))
        status = runs.run_controlled(["sh", "-c", "exit 5"], tmp_path / "log", orders)

    assert status == 5
