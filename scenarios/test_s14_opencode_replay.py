"""S14: replay answers with the fixture that is there, and with nothing where none is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_spec11.fixtures import Provokes
from pytest_spec11.oracles.files import Files
from pytest_spec11.stacks import Stack, Stacks
from scenarios.doubles.answers import PLAN
from scenarios.support.contract import identity, opencode
from scenarios.support.contract.opencode import StandIn
from scenarios.support.runs.agent_calls import (
    ANSWERED,
    END_S,
    await_plan,
    calls,
    retry_until_planned,
    title,
)
from scenarios.support.runs.gates import start_run
from scenarios.support.runs.run_lifecycle import answer_run, await_status

pytestmark = pytest.mark.S14

DENIED = "tool-denied: bash for agent plan"
ARTIFACT = "SELECT uri FROM app.artifacts WHERE run_id = %(r)s AND kind = 'plan_card'"


class Shelf:
    """The fixtures of one stack that replays nothing else."""

    def __init__(self, stack: Stack, directory: Path) -> None:
        self.stack = stack
        self._directory = directory

    def path(self, agent: str) -> Path:
        """Where the one fixture for that agent stands."""
        return self._directory / f"{agent}.json"

    def put(self, agent: str, structured: Any, tools: tuple[str, ...] = ()) -> None:
        """The answer of that agent is this from now on."""
        answer = {"structured": structured, "tools": [*tools]}
        document = {"schemaVersion": 1, "match": {"agent": agent}, "answer": answer}
        staged = self.path(agent).with_suffix(".staged")
        staged.write_text(json.dumps(document), encoding="utf-8")
        staged.rename(self.path(agent))


@pytest.fixture(scope="module")
def shelf(stacks: Stacks, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    """A stack that replays what a test put there, and nothing that was shipped."""
    directory = tmp_path_factory.mktemp("shelf")
    env = {"OC_FIXTURES_DIR": str(directory), "OC_FIXTURES_ONLY": "true"}
    with stacks.start(only=("api", "worker"), env=env) as stack:
        yield Shelf(stack, directory)


@pytest.fixture(scope="module")
def recording(stacks: Stacks, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    """A live stack on the stand-in; its worker is ours to change."""
    with opencode.standing_in(stacks, tmp_path_factory.mktemp("recording")) as made:
        yield made


def plan_card(stack: Stack, wid: str) -> dict[str, Any]:
    """The plan as the API serves its artifact."""
    uri = stack.app_sql.one(ARTIFACT, r=identity.run_id(wid))["uri"]
    card: dict[str, Any] = stack.api.get(f"/api/artifacts/{uri}").json()
    return card


@pytest.mark.claim("S14.oc-replay-reads")
def test_the_answer_is_the_fixture_edited_with_it_and_gone_with_it(
    shelf: Shelf, files: Files, provokes: Provokes, unique_goal: str
) -> None:
    stack = shelf.stack
    for risk in ("as it was recorded", "as somebody edited it, äöü ∆"):
        shelf.put("plan", {**PLAN, "risks": [risk]})
        wid = await_plan(stack, f"{unique_goal} {risk}")["workflowID"]
        card = plan_card(stack, wid)
        assert card == {**PLAN, "risks": [risk], "goal": card["goal"]}
        (row,) = calls(stack, wid)
        assert row["structured"] == {**PLAN, "risks": [risk]}
        assert row["served_by"] == f"replay:{files.sha256(shelf.path('plan'))}"
        assert stack.api.get(f"/api/runs/{wid}").json()["servedBy"] == "replay"

    shelf.path("plan").unlink()
    header = await_plan(stack, f"{unique_goal} gone")
    provokes(header["workflowID"], "the fixture of its plan is gone")
    assert files.read(shelf.path("plan")) is None
    assert header["error"] == {"message": "oc_replay: 0 fixtures for plan of compile-default@v1"}


@pytest.mark.claim("S14.oc-tools-denied")
def test_a_denied_tool_of_a_fixture_is_denied_as_often_as_it_is_replayed(
    shelf: Shelf, provokes: Provokes, unique_goal: str
) -> None:
    shelf.put("plan", PLAN, ("read", "bash"))

    header = await_plan(shelf.stack, unique_goal)

    provokes(header["workflowID"], "its plan comes of a tool that is denied")
    assert header["error"] == {"message": DENIED}
    assert retry_until_planned(shelf.stack, header["workflowID"])["error"] == {"message": DENIED}
    rows = calls(shelf.stack, header["workflowID"])
    assert [row["tool_calls"] for row in rows] == [["read", "bash"]] * 2
    assert {row["error"] for row in rows} == {DENIED}


@pytest.mark.claim("S14.oc-replay-reads")
def test_what_was_recorded_is_replayed_alike(
    recording: StandIn, stacks: Stacks, files: Files, unique_goal: str, tmp_path: Path
) -> None:
    stack, own = recording.stack, recording.stack.process("live-worker")
    own.stop()
    recorder = stack.fill_process("live-worker").using(
        {"OC_MODE": "record", "OC_RECORD_DIR": str(tmp_path)}, name="recorder"
    )
    writing = stack.spawn(recorder)
    try:
        recorded = await_plan(stack, unique_goal)
        wid = recorded["workflowID"]
        assert answer_run(stack.api, wid)["servedBy"] == "live"
    finally:
        writing.stop()
        own.start()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert [name.partition("-")[0] for name in names] == ["build", "plan"]

    env = {"OC_FIXTURES_DIR": str(tmp_path), "OC_FIXTURES_ONLY": "true"}
    with stacks.start(only=("api", "worker"), env=env) as other:
        assert await_plan(other, unique_goal)["workflowID"] == wid
        assert answer_run(other.api, wid)["servedBy"] == "replay"
        assert plan_card(other, wid) == plan_card(stack, wid)
        for first, second, name in zip(
            calls(stack, wid), calls(other, wid), reversed(names), strict=True
        ):
            assert second["served_by"] == f"replay:{files.sha256(tmp_path / name)}"
            same = ("step_id", "agent", "structured", "tool_calls", "error")
            assert [first[key] for key in same] == [second[key] for key in same]


@pytest.mark.claim("S14.oc-tools-denied")
@pytest.mark.parametrize("tampered", [True, False], ids=["tampered", "as it was"])
def test_a_recovery_asks_the_ledger_before_the_server_and_believes_neither(
    recording: StandIn, provokes: Provokes, unique_goal: str, *, tampered: bool
) -> None:
    stack, own = recording.stack, recording.stack.process("live-worker")
    own.stop()
    crash = {"SPEC11_CRASH_AT": "worker.CompileST.after"}
    crasher = stack.spawn(stack.fill_process("live-worker").using(crash, name="crasher"))
    try:
        wid = start_run(stack.api, unique_goal)
        assert crasher.wait_exit(END_S) == -9
        (kept,) = calls(stack, wid)
        assert kept["error"] is None
        if tampered:
            provokes(wid, "its ledger says that a denied tool was used")
            stack.admin.execute(
                f"UPDATE app.opencode_calls SET tool_calls = '[\"bash\"]' WHERE id = {kept['id']}"  # noqa: S608  # a number
            )
    finally:
        crasher.stop()
        own.start()

    header = await_status(stack.api, wid, ANSWERED, deadline_s=END_S)

    wanted = ("ERROR", {"message": DENIED}) if tampered else ("WAITING_INPUT", None)
    assert (header["status"], header["error"]) == wanted
    opened = [
        each
        for each in recording.list_requests()
        if (each["body"] or {}).get("title") == title(wid)
    ]
    assert len(opened) == 1
