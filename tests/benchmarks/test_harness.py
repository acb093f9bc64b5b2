from __future__ import annotations

import importlib
import json
import math
import pkgutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

import benchmarks
from benchmarks import __main__ as harness
from benchmarks import lab, table
from benchmarks.figures import (
    HIGHER,
    LOWER,
    Effort,
    Figure,
    Figures,
    Measurement,
    Outcome,
    Row,
    alternate,
    bound_median,
)
from benchmarks.record import Results
from benchmarks.registry import MEASUREMENTS

ROOT = Path(__file__).parents[2]
FAST = Row(name="fast", title="something fast", unit="/s", better=HIGHER, goal=100)
SMALL = Row(name="small", title="something small", unit="MiB", better=LOWER, goal=10)
SERVER = ["http.server", "0", "--bind", "127.0.0.1"]
UNBUFFERED = {"PYTHONUNBUFFERED": "1"}
STUBBORN = "trap '' TERM; sleep 600 & echo $!; wait"
INTERRUPTED = """
import sys
from benchmarks import __main__ as harness, lab
from benchmarks.figures import LOWER, Measurement, Row

def measure(effort):
    words, env = ["http.server", "0", "--bind", "127.0.0.1"], {"PYTHONUNBUFFERED": "1"}
    with lab.Process(words, "Serving", env) as child:
        print(child.usage.pid, flush=True)
        sys.stdin.read()

row = Row(name="never", title="never", unit="", better=LOWER)
harness.MEASUREMENTS = (Measurement(name="never", rows=(row,), measure=measure),)
harness.main([])
"""


def find(value: float, noise: float = 0.0) -> Figure:
    return Figure(value=value, rounds=(value,), noise=noise)


def take(row: Row, value: float) -> Measurement:
    return Measurement(name=row.name, rows=(row,), measure=lambda _: {row.name: find(value)})


def declared_rows() -> set[Row]:
    modules = [each.name for each in pkgutil.iter_modules(benchmarks.__path__)]
    found: set[Row] = set()
    for name in modules:
        if name.startswith(("bare_", "__")):
            continue
        for value in vars(importlib.import_module(f"benchmarks.{name}")).values():
            found.update([value] if isinstance(value, Row) else ())
    return found


def test_every_row_that_is_declared_is_measured() -> None:
    measured = {row for each in MEASUREMENTS for row in each.rows}
    assert declared_rows() <= measured
    assert len({row.name for row in measured}) == len(measured) == sum(
        len(each.rows) for each in MEASUREMENTS
    )  # fmt: skip


def test_the_page_has_every_row_with_its_goal() -> None:
    page = (ROOT / "docs" / "benchmarks.md").read_text().splitlines()
    told = [line for line in page if line.startswith("| `")]
    assert told == [
        f"| `{row.name}` | {row.unit} | {table.format_goal(row) or 'shown'} | `{each.name}` |"
        for each in MEASUREMENTS
        for row in each.rows
    ]


def test_sides_alternate_and_the_first_round_does_not_count() -> None:
    order: list[str] = []

    def side(name: str) -> Callable[[], float]:
        def measure() -> float:
            order.append(name)
            return float(len(order))

        return measure

    found = alternate({"a": side("a"), "b": side("b")}, 2)

    assert order == ["a", "b"] * 3
    assert found == {"a": [3, 5], "b": [4, 6]}


def test_a_ratio_is_the_median_of_neighbours() -> None:
    figure = Figure.from_pairs([10, 100, 30], [10, 50, 10])  # the machine changed between rounds
    assert [*figure.rounds] == [1, 2, 3]
    assert (figure.value, figure.noise) == (2, 1)


def test_noise_is_what_two_equal_sides_are_apart() -> None:
    figure = Figure.from_pairs([100, 100, 100], [50, 50, 50], twin=[100, 80, 100])
    assert figure.value == 2
    assert figure.noise == pytest.approx(0.5)  # 100 / 80 is 25 % away from 1


def test_a_stall_in_one_of_many_rounds_is_no_noise_of_their_median() -> None:
    twin = [100.0] * 13 + [98.0, 50.0]
    figure = Figure.from_pairs([100] * 15, [50] * 15, twin)
    assert (figure.value, figure.noise) == (2, 0)


@pytest.mark.parametrize(
    ("rounds", "left_out"), [(1, 0), (2, 0), (3, 0), (5, 0), (6, 0), (9, 1), (12, 2), (15, 3)]
)
def test_the_interval_of_a_median_leaves_out_what_chance_allows(rounds: int, left_out: int) -> None:
    values = [float(number) for number in range(rounds)]
    outside = sum(math.comb(rounds, below) for below in range(left_out + 1)) / 2 ** (rounds - 1)
    wider = sum(math.comb(rounds, below) for below in range(left_out + 2)) / 2 ** (rounds - 1)

    assert bound_median(values[::-1]) == (left_out, rounds - 1 - left_out)
    assert outside <= 0.05 or left_out == 0
    assert wider > 0.05  # it could not have left out one more


@pytest.mark.parametrize(
    ("row", "value", "noise", "outcome"),
    [
        (FAST, 100, 0, Outcome.MET),
        (FAST, 99, 0, Outcome.MISSED),
        (FAST, 99, 2, Outcome.BARELY_MISSED),
        (FAST, 101, 2, Outcome.BARELY_MET),
        (SMALL, 10, 0, Outcome.MET),
        (SMALL, 11, 0, Outcome.MISSED),
        (SMALL, 11, 2, Outcome.BARELY_MISSED),
        (SMALL, 9, 2, Outcome.BARELY_MET),
        (Row(name="n", title="n", unit="", better=LOWER), 11, 2, Outcome.SHOWN),
    ],
)
def test_a_figure_is_held_against_its_goal(
    row: Row, value: float, noise: float, outcome: Outcome
) -> None:
    assert row.judge(find(value, noise)) is outcome


def test_a_measurement_without_a_figure_for_each_row_fails() -> None:
    lacking = Measurement(name="lacking", rows=(FAST, SMALL), measure=lambda _: {"fast": find(1)})
    with pytest.raises(ValueError, match="lacking"):
        lacking.run(Effort())


def test_one_that_fails_does_not_stop_the_others() -> None:
    def fail(_: Effort) -> Figures:
        raise lab.MeasurementFailed("no disk")

    broken = Measurement(name="broken", rows=(SMALL,), measure=fail)
    results = harness.run_all([broken, take(FAST, 200)], Effort())

    assert results.failed == {"broken": "MeasurementFailed: no disk"}
    assert [row.name for row in results.found] == ["fast"]
    assert harness.exit_status(results, check=False) == harness.NOT_MEASURED
    assert "no disk" in table.render(results)


@pytest.mark.parametrize(
    ("value", "noise", "check", "status"),
    [(200, 0, True, 0), (50, 0, True, 1), (50, 0, False, 0), (99, 2, True, 0)],
)
def test_only_check_makes_a_miss_an_error(
    value: float,
    noise: float,
    check: bool,  # noqa: FBT001  # a parameter of the table above
    status: int,
) -> None:
    results = Results(found={FAST: find(value, noise)})
    assert harness.exit_status(results, check=check) == status


def test_everything_is_kept_and_compared_with_what_was_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    monkeypatch.setattr(harness, "MEASUREMENTS", (take(FAST, 200), take(SMALL, 20)))
    assert harness.main(["--json", str(first)]) == 0
    monkeypatch.setattr(harness, "MEASUREMENTS", (take(FAST, 100), take(SMALL, 10)))
    assert harness.main(["--json", str(second), "--against", str(first), "--check"]) == 0

    document = json.loads(first.read_text())
    assert {"commit", "tree", "machine", "versions", "seconds"} <= document.keys()
    assert [(row["name"], row["rounds"], row["outcome"]) for row in document["rows"]] == [
        ("fast", [200], "met"),
        ("small", [20], "missed"),
    ]
    said = capsys.readouterr().out
    assert "200 -50% worse" in said
    assert "20 -50% better" in said


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        (find(100, 5), find(104, 5), table.SAME),
        (find(100, 1), find(104, 1), table.BETTER),
        (find(104, 1), find(100, 1), table.WORSE),
    ],
)
def test_a_change_within_the_noise_of_both_is_none(before: Figure, now: Figure, told: str) -> None:
    assert table.compare(FAST, now, before) == told


@pytest.mark.parametrize("content", ["", "[]", '{"schema": "other"}', '{"rows": []}'])
def test_a_file_that_holds_no_results_is_refused(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "results.json"
    file.write_text(content)
    assert harness.main(["--against", str(file)]) == harness.BAD_INPUT
    assert str(file) in capsys.readouterr().err


def test_a_process_has_ended_when_its_measurement_fails() -> None:
    started = lab.Process(SERVER, "Serving", UNBUFFERED)

    def measure() -> None:
        with started:
            assert started.usage.is_running()
            raise lab.MeasurementFailed("no disk")

    with pytest.raises(lab.MeasurementFailed, match="no disk"):
        measure()
    assert not started.usage.is_running()


def test_a_process_that_does_not_want_to_end_is_killed_with_all_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lab, "STOP_S", 0.2)
    with tempfile.TemporaryFile() as log, lab.run_child(["sh", "-c", STUBBORN], {}, log) as child:
        assert child.stdout is not None
        sleeper = psutil.Process(int(child.stdout.readline()))
    assert child.returncode == -signal.SIGKILL
    psutil.wait_procs([sleeper], timeout=10)
    assert not sleeper.is_running()


def test_a_process_that_does_not_start_says_why() -> None:
    with (
        pytest.raises(lab.MeasurementFailed, match="No module named"),
        lab.Process(["no_such_module"], "ready", {}),
    ):
        pass


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_was_started_ends_when_the_benchmark_is_interrupted(number: signal.Signals) -> None:
    with subprocess.Popen(  # noqa: S603  # our own interpreter
        [sys.executable, "-c", INTERRUPTED],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as bench:
        assert bench.stdout is not None
        server = psutil.Process(int(bench.stdout.readline()))
        bench.send_signal(number)
        bench.wait(60)
    assert bench.returncode != 0
    assert not server.is_running()
