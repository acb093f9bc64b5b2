from __future__ import annotations

from dataclasses import replace

from engine.core.executions import Execution
from engine.core.gates import APPROVE, PARALLEL
from engine.core.plans import Build

FIRST = Execution(id="ih_0", workflow_id="ih_0")
SECOND = Execution(id="rep:ih_0:1", workflow_id="ih_0", attempt=2)
BUILD = Build(patches=(), tests=("a", "b", "a"), test_command="pnpm test")


def test_each_different_test_is_one_task_in_the_build_s_order() -> None:
    assert [task.cmd for task in FIRST.tasks(BUILD)] == ["pnpm test a", "pnpm test b"]


def test_a_build_without_tests_is_its_bare_command() -> None:
    [task] = FIRST.tasks(replace(BUILD, tests=()))

    assert task.cmd == "pnpm test"


def test_tasks_and_gates_of_another_attempt_or_run_are_others() -> None:
    other = Execution(id="ih_1", workflow_id="ih_1")
    executions = (FIRST, SECOND, other)

    keys = [task.key for each in executions for task in each.tasks(BUILD)]
    gates = [key for each in executions for key in each.gate_keys((APPROVE, *PARALLEL))]

    assert len(set(keys)) == len(keys) == 6
    assert len(set(gates)) == len(gates) == 9


def test_the_same_execution_names_the_same_things_again() -> None:
    assert FIRST.tasks(BUILD) == replace(FIRST).tasks(BUILD)
    assert FIRST.run_id == SECOND.run_id
