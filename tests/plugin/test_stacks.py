"""Private stacks: processes of one test, to be killed, restarted and reconfigured."""

from __future__ import annotations

from collections.abc import Callable

from tests.plugin.team import CONFTEST, TWO, Team, are_gone

PRIVATE = """
import signal
from dataclasses import replace
import pytest
from pytest_spec11.errors import NotProvable, TargetFailed

pytestmark = [pytest.mark.S00, pytest.mark.claim("S00.lives")]

def mode(stack):
    return stack.api.get("/healthz").json()["mode"]

def test_environments_are_laid_over_the_target_s(stacks, api):
    with stacks.start(env={"MODE": "odd"}, only=["api"]) as stack:
        assert mode(stack) == "odd"
        assert api.get("/healthz").json()["mode"] == "plain"
        assert stack.fill_process("shadow").command[-4] == stack.api.base_url.rpartition(":")[2]

def test_a_killed_process_starts_again_and_has_moved(stacks):
    with stacks.start(only=["api"]) as stack:
        before, was = stack.api.base_url, stack.process("api").pid
        assert stack.process("api").kill() == -signal.SIGKILL
        assert not stack.process("api").alive
        stack.process("api").start()
        assert stack.process("api").pid != was
        assert stack.api.base_url != before
        assert mode(stack) == "plain"

def test_what_was_left_out_starts_later(stacks):
    with stacks.start(only=()) as stack:
        with pytest.raises(TargetFailed, match="api was not started"):
            stack.process("api").pid
        stack.process("api").start()
        assert mode(stack) == "plain"
        assert stack.process("api").stop() == 0

def test_one_more_process_of_another_name(stacks):
    twin = stacks.target.process("api").using({"MODE": "twin"})
    with stacks.start(only=["api"], extra={"api2": twin}) as stack:
        assert stack.api_at("api2").get("/healthz").json()["mode"] == "twin"
        assert mode(stack) == "plain"
        assert stack.stop() == {"api": 0, "shadow": None, "api2": 0}

def test_a_process_of_another_name_joins_the_stack_and_ends_with_it(stacks):
    with stacks.start(only=["api"]) as stack:
        late = stack.begin(stacks.target.process("api").using({"MODE": "late"}, name="late"))
        assert stack.api_at("late").get("/healthz").json()["mode"] == "late"
        assert late.kill() == -signal.SIGKILL
        assert mode(stack) == "plain"
        assert stack.stop() == {"api": 0, "shadow": None, "late": -signal.SIGKILL}

def test_stacks_of_another_target_end_with_these(stacks):
    odd = tuple(each.using({"MODE": "odd"}) for each in stacks.target.processes)
    stack = stacks.of(replace(stacks.target, processes=odd)).start(only=["api"])
    open("other", "w").write(str(stack.process("api").pid))
    assert mode(stack) == "odd"

def test_an_unknown_name_is_named(stacks):
    with pytest.raises(NotProvable, match="orders has no process web"):
        stacks.start(only=["web"])
    with stacks.start(only=["api"]) as stack:
        assert mode(stack) == "plain"
        with pytest.raises(NotProvable, match="has no process web"):
            stack.process("web")

def test_what_a_test_forgets_to_stop_is_stopped(stacks):
    stack = stacks.start()
    open("pids", "w").write(" ".join(str(stack.process(name).pid) for name in ("api", "shadow")))
    assert mode(stack) == "plain"
"""


def test_private_stacks_do_as_they_are_told(team: Callable[..., Team]) -> None:
    ours = team(PRIVATE)
    ours.write("conftest.py", TWO)
    found = ours.run()
    assert " 8 passed" in found.out
    assert found.status == 0
    left = " ".join((ours.path / name).read_text() for name in ("pids", "other"))
    assert are_gone([int(pid) for pid in left.split()])
    seen = {each["ref"] for each in ours.records("observation") if each["source"] == "process"}
    assert {"api.signal", "api.exitCode", "api.alive", "api.readyAfterMs", "s1.stop"} <= seen


def test_a_private_stack_that_does_not_get_ready_says_why(team: Callable[..., Team]) -> None:
    ours = team(
        """
import pytest

@pytest.mark.S00
@pytest.mark.claim("S00.lives")
def test_it(stacks):
    stacks.start(env={"PYTHONPATH": "."})
"""
    )
    ours.write("conftest.py", CONFTEST)
    ours.write("system.py", "raise SystemExit('cannot live like this')")
    found = ours.run()
    assert found.status == 1
    assert "api ended with 1 before it was ready" in found.out
    assert "cannot live like this" in found.out
