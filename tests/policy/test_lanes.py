"""The lane graph of this project: its order, and that every path and tool it names is there."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_spec11.evidence import lanes
from pytest_spec11.requirements import catalogue, policy

ROOT = Path(__file__).parents[2]
LANES = lanes.read_lanes(policy.load(ROOT))


def test_there_is_a_lane_for_every_tile() -> None:
    assert tuple(LANES) == catalogue.load(None).lanes


def test_quick_comes_before_check_before_full_and_the_others_stand_alone() -> None:
    chains = {name: [lane.name for lane in lanes.chain(LANES, name)] for name in LANES}

    assert chains == {
        "quick": ["quick"],
        "check": ["quick", "check"],
        "full": ["quick", "check", "full"],
        "deps": ["deps"],
        "policy": ["policy"],
        "crashdemo": ["crashdemo"],
    }


def missing(root: Path) -> list[str]:
    """Tools and paths that a lane's commands name and that are not there."""
    tools = str(Path(sys.executable).parent)
    found = []
    for lane in LANES.values():
        for step in lane.steps:
            tool, *words = step.command
            if shutil.which(tool, path=tools) is None:
                found.append(f"{lane.name}: {tool}")
            paths = [word for word in words if word.startswith(("tests", "scenarios"))]
            found += [f"{lane.name}: {path}" for path in paths if not (root / path).exists()]
    return found


def test_every_input_of_a_lane_is_there() -> None:
    assert missing(ROOT) == []


@pytest.mark.parametrize(
    "command",
    [step.command for lane in LANES.values() for step in lane.steps if step.command[0] == "pytest"],
    ids=" ".join,
)
def test_every_command_of_tests_selects_some(command: tuple[str, ...], tmp_path: Path) -> None:
    """A selection that fits nothing ends with status 5: such a lane would never be green."""
    words = [word.replace("{release}", str(tmp_path)) for word in command[1:]]

    done = subprocess.run(  # noqa: S603  # a lane of the project's own
        [sys.executable, "-m", "pytest", *words, "--collect-only", "-n", "0"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (done.returncode, "::test_" in done.stdout) == (0, True), done.stdout[-2000:]


def test_an_input_that_is_gone_is_seen(tmp_path: Path) -> None:
    assert "quick: tests/engine/core" in missing(tmp_path)


def test_every_scenario_is_in_exactly_one_lane_of_the_three() -> None:
    words = [
        word
        for name in ("quick", "check", "full")
        for step in LANES[name].steps
        for word in step.command
        if word.startswith(("S0", "S1"))
    ]
    marks = " or ".join(words).split(" or ")
    assert sorted(marks) == [f"S{number:02}" for number in range(16)]
