"""Judging and verifying need no more memory for more records of the same tests."""

from __future__ import annotations

import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.verify import TREE, write_bundle
from pytest_spec11.evidence import bundle, kept_runs
from pytest_spec11.judge import Case, Terms, judge
from pytest_spec11.requirements import catalogue
from pytest_spec11.requirements.policy import Policy
from pytest_spec11.verdict.signoff import Signoff
from pytest_spec11.verdict.weakenings import Weakenings
from pytest_spec11.verify import verify
from reports.excerpts import FIRST, LAST, Excerpts

FEW = 1_000
NODES = 20
MORE_KIB = 200  # records that were kept would need 17,000


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Bundles of the same tests: the second has eight times the records."""
    folder = tmp_path_factory.mktemp("bundles")
    return write_bundle(folder / "few", FEW, NODES), write_bundle(folder / "many", 8 * FEW, NODES)


def judge_bundle(folder: Path) -> None:
    known, seen = catalogue.load(), bundle.load([folder])
    terms = Terms(now_ms=1, here=None, scope="signoff", policy=Policy())
    document = Signoff(
        Case(known, seen, terms), judge(known, seen, terms), Weakenings("", ())
    ).document()
    assert document["evidence"]["records"] >= FEW - 2


def excerpt_bundle(folder: Path) -> None:
    excerpts = Excerpts()
    seen = bundle.load([folder], excerpts.hear)
    shown = excerpts.of(next(iter(seen.items))).sights
    assert (len(shown.first), len(shown.last)) == (FIRST, LAST)
    assert shown.between == shown.count - FIRST - LAST > 0


def verify_bundle(folder: Path) -> None:
    assert verify(folder).records >= FEW - 2


def read_kept_run(folder: Path) -> None:
    (run,) = kept_runs.read_runs([folder], TREE)
    assert (len(run.ended), run.reds, run.damage) == (NODES, {}, "")


def read_kept_run_of_no_tree(folder: Path) -> None:
    garbled = folder.with_name(f"{folder.name}-garbled")
    garbled.mkdir(exist_ok=True)
    with (garbled / "journal-main.ndjson").open("wb") as file:
        file.write(b"no record\n")
        with (folder / "journal-main.ndjson").open("rb") as whole:
            shutil.copyfileobj(whole, file)
    (run,) = kept_runs.read_runs([garbled], TREE)
    assert (run.is_of_tree, len(run.journals)) == (False, 1)


WORK = [judge_bundle, excerpt_bundle, verify_bundle, read_kept_run, read_kept_run_of_no_tree]


@pytest.mark.parametrize("work", WORK)
def test_eight_times_the_records_need_the_same_memory(
    work: Callable[[Path], None], bundles: tuple[Path, Path]
) -> None:
    work(bundles[0])  # what is imported and cached is there before anything is measured
    few, many = (measure_peak(work, folder) for folder in bundles)
    assert many - few < MORE_KIB * 1024


def measure_peak(work: Callable[[Path], None], folder: Path) -> int:
    """Bytes at most while ``work`` was done."""
    tracemalloc.start()
    try:
        work(folder)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
