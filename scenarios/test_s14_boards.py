"""S14: the run board says that a stub answered for the agents."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_spec11.stacks import Stacks
from scenarios.support.contract import opencode
from scenarios.support.probes.boards import address
from scenarios.support.runs.agent_calls import await_plan

pytestmark = pytest.mark.S14


@pytest.mark.claim("S14.oc-fallback-marked")
def test_the_board_says_that_a_stub_answered(
    stacks: Stacks, unique_goal: str, tmp_path: Path
) -> None:
    with opencode.standing_in(stacks, tmp_path, OC_STRICT_MODE="0") as made:
        stack = made.stack
        assert stack.process("opencode").stop() is not None
        header = await_plan(stack, unique_goal)
        assert header["servedBy"] == "stub"
        page = stack.browser.open(address(header["workflowID"]))
        (posture,) = page.read_texts("dl dd:last-of-type")
        assert f"agents {header['ocMode']}, served by stub" in posture
        assert f"sandbox {header['sbxMode']} {header['sbxProvider']}" in posture
