"""S14: the pinned server speaks as it was recorded, which is how the stand-in speaks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pytest_spec11.oracles.files import Files
from pytest_spec11.stacks import Stack, Stacks
from scenarios.doubles import model, wire
from scenarios.support.contract import opencode
from scenarios.support.runs.agent_calls import await_plan, calls
from scenarios.support.runs.run_lifecycle import answer_run

pytestmark = pytest.mark.S14


@contextmanager
def tap_stack(stacks: Stacks, file: Path) -> Iterator[Stack]:
    """A live stack with a worker at work; every exchange with its server is written down."""
    server = opencode.real()
    assert server is not None, "needs the pinned server: `make opencode` brings it"
    extra = {"model": opencode.model(), "opencode": server, "tap": opencode.tap(file)}
    with stacks.start(only=("api",), env={"OC_MODE": "live"}, extra=extra) as stack:
        opencode.begin_worker(stack, OC_BASE_URL="{tap.url}")
        yield stack


@pytest.mark.claim("S14.oc-real-server")
@pytest.mark.claim("S14.oc-real-structured")
def test_the_server_says_what_its_recording_says(
    stacks: Stacks, files: Files, unique_goal: str, tmp_path: Path, kept_wire: Path | None
) -> None:
    file = tmp_path / "wire.ndjson"
    with tap_stack(stacks, file) as stack:
        wid = await_plan(stack, unique_goal)["workflowID"]
        assert answer_run(stack.api, wid)["status"] == "SUCCESS"
        refused = await_plan(stack, f"{unique_goal} {model.CALLS_BASH}")
        assert refused["error"] == {"message": "tool-denied: bash for agent plan"}
        (session, _) = (row["session_id"] for row in calls(stack, wid))
        server = stack.api_at("tap")
        server.get("/agent")
        server.get("/a-path-that-is-none")
        nobody = {"agent": "nobody", "parts": [{"type": "text", "text": "hello"}]}
        server.post(f"/session/{session}/message", json=nobody)
        server.post(f"/session/{session}/abort")
        said = server.get(f"/session/{session}/message?limit=1").json()
        message = {"messageID": said[0]["info"]["id"]}
        server.post(f"/session/{session}/revert", json=message)

    recorded = files.read(file)
    assert recorded is not None
    seen = [*wire.plain(wire.read(recorded))]
    if kept_wire is not None:
        lines = "".join(f"{json.dumps(each, ensure_ascii=False)}\n" for each in seen)
        kept_wire.write_text(lines, encoding="utf-8")
    kept = wire.load_recording()
    for name in ("method", "path", "status", "contentType"):
        assert [each[name] for each in seen] == [each[name] for each in kept]
    for now, then in zip(seen, kept, strict=True):
        assert wire.shape(now["said"]) == wire.shape(then["said"])
