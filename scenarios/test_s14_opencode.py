"""S14: the pinned OpenCode server and a model of ours, with nothing in between that could help."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pytest_spec11.fixtures import Provokes
from pytest_spec11.oracles.files import Files
from pytest_spec11.stacks import Stack, Stacks
from scenarios.doubles import model
from scenarios.doubles.answers import PLAN
from scenarios.support.contract import identity, opencode
from scenarios.support.contract.commands import engine
from scenarios.support.contract.repository_files import digest_tracked_files
from scenarios.support.runs.agent_calls import ANSWERED, END_S, calls
from scenarios.support.runs.gates import start_run
from scenarios.support.runs.run_lifecycle import answer_run, await_status

pytestmark = pytest.mark.S14

PLAN_CARD = """
SELECT inline FROM app.artifacts WHERE run_id = %(r)s AND kind = 'plan_card'
"""
KIND, VERSION = ("opencode", opencode.VERSION) if opencode.binary() else ("stub", opencode.VERSION)


@contextmanager
def serving(stacks: Stacks, directory: Path, *, with_model: bool = True) -> Iterator[Stack]:
    """A live stack without a worker: the pinned server, or the stand-in."""
    server = opencode.real(model=with_model) or opencode.stand_in(directory)
    extra = {"model": opencode.model()} if with_model else {}
    with stacks.start(
        only=("api",), env={"OC_MODE": "live"}, extra={**extra, "opencode": server}
    ) as stack:
        yield stack


@pytest.fixture(scope="module")
def live(stacks: Stacks, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The server, its model, and a worker that asks it."""
    with serving(stacks, tmp_path_factory.mktemp("oc")) as stack:
        opencode.begin_worker(stack)
        yield stack


def smoke(stack: Stack, *words: str, **env: str) -> Any:
    """How the smoke of the stack's server ended."""
    url = stack.api_at("opencode").base_url
    given = {"OC_MODE": "live", "OC_BASE_URL": url, **env}
    return engine(stack, "oc", "smoke", *words, env=given, deadline_s=END_S)


@pytest.mark.claim("S14.oc-real-server")
@pytest.mark.claim("S14.live-evidence-bounded")
def test_the_pinned_server_runs_and_the_smoke_says_what_it_asked(
    live: Stack, files: Files, tmp_path: Path
) -> None:
    daemon = live.api_at("opencode")
    health = daemon.get("/global/health")
    assert health.headers["content-type"] == "application/json"
    assert (health.json()["healthy"], health.json()["version"]) == (True, VERSION)
    assert health.json().get("server", "opencode") == KIND
    assert {"plan", "build"} <= {agent["name"] for agent in daemon.get("/agent").json()}
    assert daemon.post("/session", json={"title": "a look"}).json()["id"].startswith("ses_")
    assert live.proc.alive("opencode")

    ended = smoke(live, "--out", str(tmp_path / "smoke.json"))

    assert (ended.code, ended.stderr) == (0, "")
    kept = files.read(tmp_path / "smoke.json")
    assert kept is not None
    evidence = json.loads(kept)
    assert json.loads(ended.stdout) == evidence
    assert evidence.pop("sessionID").startswith("ses_")
    assert 0 < evidence.pop("ms") < END_S * 1000
    assert evidence == {
        "ok": True, "mode": "live", "strict": True, "servedBy": "live", "samples": 1,
        "server": {"kind": KIND, "version": VERSION}, "claim": "this strict path worked 1 time",
    }  # fmt: skip


@pytest.mark.claim("S14.oc-real-structured")
def test_a_whole_run_is_planned_and_built_by_the_server(live: Stack, unique_goal: str) -> None:
    wid = start_run(live.api, unique_goal)
    waiting = await_status(live.api, wid, ANSWERED, deadline_s=END_S)
    assert (waiting["status"], waiting["ocMode"], waiting["servedBy"]) == (
        "WAITING_INPUT", "live", "live",
    )  # fmt: skip
    assert live.proc.alive("opencode")
    header = answer_run(live.api, wid)

    assert (header["status"], header["servedBy"]) == ("SUCCESS", "live")
    asked = calls(live, wid)
    assert [(row["step_id"], row["agent"]) for row in asked] == [
        ("CompileST", "plan"), ("DecideST", "build"),
    ]  # fmt: skip
    for row in asked:
        assert (row["served_by"], row["error"], row["attempt"]) == ("live", None, 1)
        assert row["server_version"] == f"{KIND} {VERSION}"
        assert row["session_id"].startswith("ses_")
        assert row["tool_calls"] == ["StructuredOutput"]
    assert asked[0]["session_id"] != asked[1]["session_id"]
    assert asked[0]["structured"] == PLAN
    card = live.app_sql.one(PLAN_CARD, r=identity.run_id(wid))["inline"]
    assert {**PLAN, "goal": card["goal"]} == card


@pytest.mark.claim("S14.oc-tools-denied")
def test_a_tool_that_the_plan_agent_may_not_use_ends_the_run(
    live: Stack, provokes: Provokes, unique_goal: str
) -> None:
    assert opencode.binary(), "needs the pinned server: `make opencode` brings it"
    wid = start_run(live.api, f"{unique_goal} {model.CALLS_BASH}")
    provokes(wid, "its plan comes of a tool that is denied")

    header = await_status(live.api, wid, ANSWERED, deadline_s=END_S)

    assert header["error"] == {"message": "tool-denied: bash for agent plan"}
    (row,) = calls(live, wid)
    assert row["error"] == "tool-denied: bash for agent plan"
    assert row["tool_calls"] == ["bash", "StructuredOutput"]


@pytest.mark.claim("S14.oc-no-model-fails")
def test_without_a_model_health_is_no_smoke(stacks: Stacks, tmp_path: Path) -> None:
    assert opencode.binary(), "needs the pinned server: `make opencode` brings it"
    with serving(stacks, tmp_path, with_model=False) as stack:
        daemon = stack.api_at("opencode")
        assert daemon.get("/global/health").json()["healthy"] is True
        session = daemon.post("/session", json={"title": "no model"}).json()["id"]
        body = {"agent": "plan", "parts": [{"type": "text", "text": "hello"}]}
        refused = daemon.post(f"/session/{session}/message", json=body)
        assert refused.status == 500
        named = refused.json()

        ended = smoke(stack)

        assert ended.code == 1
        reason = json.loads(ended.stdout)["reason"]
        words = f"oc_live_unavailable:promptStructured:500 {named['name']}: "
        assert reason.startswith(words + named["data"]["message"])
        assert reason in ended.stderr


@pytest.mark.claim("S14.oc-tree-untouched")
def test_no_lane_touches_the_tracked_tree(
    live: Stack, files: Files, unique_goal: str, tmp_path: Path
) -> None:
    before = digest_tracked_files(files)
    assert smoke(live).code == 0
    wid = start_run(live.api, f"{unique_goal} live")
    assert await_status(live.api, wid, ANSWERED, deadline_s=END_S)["error"] is None
    out = tmp_path / "recorded"
    live.process("live-worker").stop()
    places = {"OC_MODE": "record", "OC_RECORD_DIR": str(out), "DBOS__VMID": "w0"}
    recorder = live.spawn(live.fill_process("live-worker").using(places, name="recorder"))
    try:
        wid = start_run(live.api, f"{unique_goal} record")
        assert await_status(
            live.api, wid, ANSWERED, deadline_s=END_S
        )["error"] is None  # fmt: skip
    finally:
        recorder.stop()
    recorded = sorted(out.iterdir())
    assert [path.name.partition("-")[0] for path in recorded] == ["plan"]
    kept = files.read(recorded[0])
    assert kept is not None
    assert json.loads(kept)["answer"]["structured"] == PLAN
    again = {"OC_MODE": "replay", "OC_FIXTURES_DIR": str(out), "DBOS__VMID": "w0"}
    replayer = live.spawn(live.fill_process("live-worker").using(again, name="replayer"))
    try:
        wid = start_run(live.api, f"{unique_goal} replay")
        header = await_status(live.api, wid, ANSWERED, deadline_s=END_S)
        assert (header["error"], header["servedBy"]) == (None, "replay")
    finally:
        replayer.stop()
        live.process("live-worker").start()

    assert digest_tracked_files(files) == before
