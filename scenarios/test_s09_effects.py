"""S09: what a command does in the world is done once, or once more for each kill that hit it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_spec11.oracles.files import Files
from pytest_spec11.stacks import Stacks
from pytest_spec11.waiting import eventually
from scenarios.support.contract import identity
from scenarios.support.faults.crash_points import answer_open_gates, await_end
from scenarios.support.faults.kill_log import Ledger
from scenarios.support.runs import exactly_once, sandboxes
from scenarios.support.runs.sandboxes import Bench, bench

pytestmark = pytest.mark.S09

TASKS = 5
RECORDED = """
SELECT t.task_key, count(*) AS rows,
       (SELECT count(*) FROM app.artifacts a
        WHERE a.task_key = t.task_key AND a.kind = 'artifact_index') AS indexes
FROM app.sbx_runs t WHERE t.run_id = %(r)s GROUP BY t.task_key
"""


@pytest.fixture(scope="module")
def local(stacks: Stacks) -> Iterator[Bench]:
    """Commands that really run, as many at once as a run of ours has."""
    with bench(stacks, sandboxes.LOCAL) as made:
        yield made


def log(within: Bench, name: str) -> Path:
    """An empty log that every command may append to, whoever it runs as."""
    made = within.shared / name
    made.touch()
    made.chmod(0o666)
    return made


def appending(path: Path, then: str) -> list[str]:
    """Commands that each append the key of their task to the log, and do something after."""
    return [f"echo $SPEC11_TASK >> {path}; {then} # {number}" for number in range(TASKS)]


def lines(files: Files, path: Path) -> Counter[str]:
    """How often each task appended its key."""
    return Counter((files.read(path) or b"").decode().split())


def count_artifacts(within: Bench, wid: str) -> dict[str, tuple[int, int]]:
    """How many rows and indexes of artifacts each task has."""
    rows = within.stack.app_sql.rows(RECORDED, r=identity.run_id(wid))
    return {row["task_key"]: (row["rows"], row["indexes"]) for row in rows}


@pytest.mark.claim("S09.effects-bounded")
def test_without_a_kill_every_command_leaves_one_line(
    local: Bench, files: Files, unique_goal: str
) -> None:
    written = log(local, "undisturbed")

    header = local.complete_run(unique_goal, *appending(written, "sleep 0.2"))

    wid = header["workflowID"]
    seen, kept = lines(files, written), count_artifacts(local, wid)
    assert local.stack.proc.alive("worker")
    assert seen == Counter(dict.fromkeys(kept, 1))
    assert kept == dict.fromkeys(kept, (1, 1))
    assert len(kept) == TASKS
    assert exactly_once.facts(local.stack, wid) == exactly_once.expect_success(wid) | {
        "tasks": [1] * TASKS
    }


@pytest.mark.claim("S09.effects-bounded")
def test_a_kill_adds_one_line_at_most_to_each_command_that_it_hit(
    local: Bench, files: Files, ledger: Ledger, unique_goal: str
) -> None:
    written, open_ = log(local, "disturbed"), local.shared / "open"
    held = f"while ! [ -e {open_} ]; do sleep 0.05; done"
    wid = local.start_run(unique_goal, *appending(written, held))
    answer_open_gates(local.stack, wid)
    worker = local.stack.process("worker")
    overlapped = Counter[str]()
    for _ in range(2):
        before = lines(files, written)
        during = eventually(
            lambda: lines(files, written) - before,  # noqa: B023  # looked at within this round
            deadline_s=60,
            until=lambda more: len(more) == TASKS,
        )
        assert worker.kill() == -9
        ledger.hit("worker in a command", TASKS)
        overlapped += Counter(dict.fromkeys(during, 1))
        worker.start()
    open_.touch()

    assert await_end(local.stack, wid)["status"] == "SUCCESS"

    seen, kept = lines(files, written), count_artifacts(local, wid)
    assert kept == dict.fromkeys(overlapped, (1, 1))
    assert {key: 1 <= seen[key] <= 1 + hits for key, hits in overlapped.items()} == dict.fromkeys(
        kept, True
    )
    assert seen.keys() == kept.keys()
    assert len(kept) == TASKS
    assert exactly_once.facts(local.stack, wid) == exactly_once.expect_success(wid) | {
        "tasks": [1] * TASKS
    }
