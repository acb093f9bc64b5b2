"""S04: yes carries a plan out, no takes it back, in both schemas and on disk."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_spec11.fixtures import Provokes
from pytest_spec11.oracles.files import Files
from scenarios.support.contract.events import ACCEPTED
from scenarios.support.runs.gates import Gate, await_end, await_gates
from scenarios.support.runs.workshop import Workshop

pytestmark = pytest.mark.S04

RUN = "SELECT status, next_action, error FROM app.runs WHERE workflow_id = %(w)s"
ENGINE = "SELECT status FROM dbos.workflow_status WHERE workflow_uuid = %(w)s"
PATCHES = """
SELECT applied_at IS NOT NULL AS applied, rolled_back_at IS NOT NULL AS rolled_back, rolled_back_for
FROM app.patch_history WHERE run_id = %(r)s
"""
WHY = "rejected: größer als nötig ✓"


def park_patched_run(shop: Workshop, files: Files, goal: str, name: str) -> Gate:
    """Where a run waits whose plan has changed the file ``name``, which held "before"."""
    path = shop.jail / name
    path.write_text("before", encoding="utf-8")
    (gate,) = await_gates(shop.stack.api, shop.start_patching(goal, path, "after"))
    assert files.read(path) == b"after"
    return gate


def facts(shop: Workshop, gate: Gate) -> dict[str, Any]:
    """How the gate's run stands, by each source."""
    stack = shop.stack
    header = await_end(stack.api, stack.sys_sql, gate.wid)
    (patch,) = stack.app_sql.rows(PATCHES, r=gate.run_id)
    return {
        "header": (header["status"], header["nextAction"]),
        "error": (header["error"] or {}).get("message"),
        "app": stack.app_sql.one(RUN, w=gate.wid),
        "engine": stack.sys_sql.value(ENGINE, w=gate.wid),
        "patch": [*patch.values()],
        "decision": [
            (told["decision"], told["payload"]["rationale"])
            for told in gate.read_events(stack.sys_sql)["decision"]
        ],
    }


@pytest.mark.claim("S04.yes-and-no")
def test_yes_carries_the_plan_out(shop: Workshop, files: Files, unique_goal: str) -> None:
    gate = park_patched_run(shop, files, unique_goal, "yes.txt")

    assert gate.choose(shop.stack.api, "yes").json() == ACCEPTED

    assert facts(shop, gate) == {
        "header": ("SUCCESS", None),
        "error": None,
        "app": {"status": "succeeded", "next_action": None, "error": None},
        "engine": "SUCCESS",
        "patch": [True, False, None],
        "decision": [("yes", None)],
    }
    assert files.read(shop.jail / "yes.txt") == b"after"


@pytest.mark.claim("S04.yes-and-no")
def test_no_takes_the_plan_back_and_says_why(
    shop: Workshop, files: Files, provokes: Provokes, unique_goal: str
) -> None:
    gate = park_patched_run(shop, files, unique_goal, "no.txt")
    provokes(gate.wid, "its plan is rejected on purpose")

    answer = gate.say(shop.stack.api, {"choice": "no", "rationale": WHY})

    assert answer.json() == ACCEPTED
    error = f"Plan approval failed: no (rationale: {WHY})"
    assert facts(shop, gate) == {
        "header": ("ERROR", "REPAIR"),
        "error": error,
        "app": {"status": "retries_exceeded", "next_action": "REPAIR", "error": error},
        "engine": "ERROR",
        "patch": [True, True, "failure"],
        "decision": [("no", WHY)],
    }
    assert files.read(shop.jail / "no.txt") == b"before"
