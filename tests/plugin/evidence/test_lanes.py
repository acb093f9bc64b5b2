"""Lanes of another team: what is on record of commands that really ran."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from pytest_spec11.waiting import GIVE_UP_S, eventually
from tests.plugin.team import are_gone

POLICY = """
[lanes.quick.steps]
one = ["{python}", "-c", "print('first')"]
two = ["{python}", "-c", "import pathlib, sys; sys.exit(pathlib.Path('red').exists() and 7)"]
three = ["{python}", "-c", "pass"]

[lanes.check]
after = "quick"
[lanes.check.steps]
it = ["{python}", "-c", "print('checked')"]

[lanes.deps]
deadline_s = 1
[lanes.deps.steps]
slow = ["{python}", "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(60)"]

[lanes.policy.steps]
gone = ["no-such-tool"]

[lanes.crashdemo.steps]
touch = ["{python}", "-c", "open('new.py', 'w').write('1')"]
"""
CATALOGUE = Path("pytest_spec11/requirements/catalogue.json").resolve()


class Tree:
    """A work tree under git with lanes of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "spec11.toml").write_text(POLICY.replace("{python}", sys.executable))
        (path / ".gitignore").write_text(".spec11\n")
        for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "x"]):
            subprocess.run(["git", "-c", "user.name=x", "-c", "user.email=x@x", *words],  # noqa: S603, S607  # our own words
                           cwd=path, check=True)  # fmt: skip

    def words(self, *args: str) -> list[str]:
        return [sys.executable, "-m", "pytest_spec11.cli", "lane", *args]

    def lane(self, *args: str) -> subprocess.CompletedProcess[str]:
        words = self.words(*args)
        return subprocess.run(  # noqa: S603  # our own words
            words, cwd=self.path, capture_output=True, text=True, timeout=GIVE_UP_S, check=False
        )

    def record(self, release: str, lane: str) -> dict[str, Any]:
        path = self.path / f".spec11/release-{release}/pf-{lane}/lane-{lane}.json"
        found: dict[str, Any] = json.loads(path.read_text())
        for step in found["steps"]:
            digest = step["log"]["sha256"]
            content = (path.parent / "blobs" / digest[:2] / digest).read_bytes()
            assert (sha256(content).hexdigest(), len(content)) == (digest, step["log"]["bytes"])
            step["said"] = content.decode()
        return found


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def test_a_green_lane_is_on_record_with_every_command_and_what_it_said(tree: Tree) -> None:
    found = tree.lane("quick", "--release", "r1")

    record = tree.record("r1", "quick")
    assert found.returncode == 0
    assert "quick is green" in found.stdout
    assert [(step["name"], step["exitCode"]) for step in record["steps"]] == [
        ("one", 0), ("two", 0), ("three", 0),
    ]  # fmt: skip
    assert record["steps"][0]["said"] == "first\n"
    assert record["steps"][2]["said"] == "(it printed nothing)\n"
    assert (record["exitCode"], record["release"]) == (0, "r1")
    times = [at for step in record["steps"] for at in (step["startedAt"], step["finishedAt"])]
    assert sorted(times) == times
    assert record["startedAt"] <= times[0]
    assert times[-1] <= record["finishedAt"]
    assert record["binding"]["dirty"] is False


def test_the_first_red_command_ends_the_lane_and_its_end_is_shown(tree: Tree) -> None:
    (tree.path / "red").touch()

    found = tree.lane("quick", "--release", "r1")

    record = tree.record("r1", "quick")
    assert found.returncode == 1
    assert "quick: two is red (status 7)" in found.stdout
    assert [step["name"] for step in record["steps"]] == ["one", "two"]
    assert record["exitCode"] == 7


def test_a_lane_runs_what_it_stands_on_first_and_not_over_red(tree: Tree) -> None:
    assert tree.lane("check", "--release", "r1").returncode == 0
    low, high = tree.record("r1", "quick"), tree.record("r1", "check")
    assert low["finishedAt"] <= high["startedAt"]
    assert low["release"] == high["release"]

    (tree.path / "red").touch()
    assert tree.lane("check", "--release", "r2").returncode == 1
    assert not (tree.path / ".spec11/release-r2/pf-check/lane-check.json").exists()


def test_what_is_proven_of_this_tree_in_this_release_is_not_run_twice(tree: Tree) -> None:
    tree.lane("quick", "--release", "r1")
    before = tree.record("r1", "quick")

    tree.lane("check", "--release", "r1")
    assert tree.record("r1", "quick") == before

    (tree.path / "more.py").write_text("1")
    tree.lane("check", "--release", "r1")
    after = tree.record("r1", "quick")
    assert (after["startedAt"] > before["startedAt"], after["binding"]["dirty"]) == (True, True)

    tree.lane("quick", "--release", "r1")
    assert tree.record("r1", "quick")["startedAt"] > after["startedAt"]


def test_a_tree_that_changes_meanwhile_makes_the_lane_red(tree: Tree) -> None:
    assert tree.lane("crashdemo", "--release", "r1").returncode == 1

    record = tree.record("r1", "crashdemo")
    assert record["exitCode"] == 1
    assert "tree" in record["steps"][-1]["said"]


def test_a_tool_that_is_not_there_is_red(tree: Tree) -> None:
    assert tree.lane("policy", "--release", "r1").returncode == 1

    [step] = tree.record("r1", "policy")["steps"]
    assert (step["exitCode"], step["said"]) == (127, "no-such-tool: No such file or directory\n")


def test_a_lane_s_time_is_bounded_and_nothing_of_it_is_left(tree: Tree) -> None:
    assert tree.lane("deps", "--release", "r1").returncode == 1

    [step] = tree.record("r1", "deps")["steps"]
    assert "the lane's time is over" in step["said"]
    assert are_gone([int(step["said"].split()[0])])


def test_ctrl_c_ends_what_the_lane_started(tree: Tree) -> None:
    text = (tree.path / "spec11.toml").read_text()
    (tree.path / "spec11.toml").write_text(text.replace("deadline_s = 1", "deadline_s = 50"))
    log = tree.path / ".spec11/release-r1/pf-deps/slow.log"
    with subprocess.Popen(  # noqa: S603  # our own words
        tree.words("deps", "--release", "r1"), cwd=tree.path, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        child = eventually(
            lambda: log.exists() and log.read_text().strip(), deadline_s=20, until=bool
        )
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(GIVE_UP_S) != 0

    assert are_gone([int(str(child))])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing"], "no lane nothing; there are quick, check, deps, policy, crashdemo"),
        (["quick", "--release", "../out"], "--release ../out: letters, digits and - alone"),
    ],
)
def test_bad_words_are_one_line_and_3(tree: Tree, words: list[str], said: str) -> None:
    found = tree.lane(*words)

    assert (found.returncode, found.stderr) == (3, f"spec11: {said}\n")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('after = "quick"', 'after = "check"', "check: after check, which is not a lane below"),
        ('after = "quick"', 'after = "quik"', "lane check: after quik, which is not a lane below"),
        ('it = ["', 'it = [1, "', "is not a table of commands, each a list of words"),
        ("deadline_s = 1", "deadline_s = 0", "is not a number above 0 and at most 86400"),
        ("[lanes.check.steps]", "[lanes.check.waived]", "there are no waivers"),
    ],
)  # fmt: skip
def test_a_policy_that_cannot_be_meant_is_refused(
    tree: Tree, old: str, new: str, said: str
) -> None:
    text = (tree.path / "spec11.toml").read_text()
    (tree.path / "spec11.toml").write_text(text.replace(old, new, 1))

    found = tree.lane("quick")

    assert found.returncode == 3
    assert said in found.stderr
    assert found.stderr.count("\n") == 1
