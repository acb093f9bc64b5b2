"""S14: a server of agents that is gone, breaks its word, hangs or dies: what a run makes of it."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pytest_spec11.fixtures import Provokes
from pytest_spec11.oracles.files import Files
from pytest_spec11.stacks import Stack, Stacks
from pytest_spec11.waiting import Stopwatch, eventually
from scenarios.support.contract import identity, opencode
from scenarios.support.contract.commands import engine
from scenarios.support.contract.opencode import NOBODY, StandIn
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

TIMEOUT_MS = 4000
STEPS = "SELECT step_id, attempt FROM app.run_steps WHERE run_id = %(r)s ORDER BY started_at"
PREFIX = "oc_live_unavailable:"
DENIED = "tool-denied: bash for agent plan"
USES_BASH = {"parts": [{"type": "tool", "tool": "bash", "state": {}}]}
NO_ANSWER = {"structured": None, "error": {"name": "StructuredOutputError"}}
# What the stand-in does wrong, and the words that a run and a smoke end with.
BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "html for health": ({"health": "html"}, "health:text/html in place of JSON"),
    "html for a session": ({"createSession": "html"}, "createSession:text/html in place of JSON"),
    "html for a prompt": (
        {"promptStructured": "html"}, "promptStructured:text/html in place of JSON",
    ),
    "a cut prompt": ({"promptStructured": "cut"}, "promptStructured:no JSON"),
    "cut messages": ({"messages": "cut"}, "messages:no JSON"),
    "a prompt of another shape": (
        {"promptStructured": "shape"}, "promptStructured:JSON of another shape: /info, /parts",
    ),
    "a plan off the schema": (
        {"promptStructured": {"info": {"structured": {"tests": "many"}}}},
        "promptStructured:structured answer off schema: /tests",
    ),
    "nothing structured": (
        {"promptStructured": {"info": NO_ANSWER}},
        "promptStructured:StructuredOutputError",
    ),
    "unhealthy": ({"health": {"healthy": False}}, "health:JSON of another shape: /healthy"),
}  # fmt: skip


@pytest.fixture(scope="module")
def stand_in(stacks: Stacks, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    """A strict live stack on the stand-in; each test leaves it well."""
    directory = tmp_path_factory.mktemp("stand-in")
    with opencode.standing_in(stacks, directory, OC_TIMEOUT_MS=str(TIMEOUT_MS)) as made:
        yield made


def steps(stack: Stack, wid: str) -> list[dict[str, Any]]:
    """The steps that the run finished."""
    return stack.app_sql.rows(STEPS, r=identity.run_id(wid))


def smoke(stack: Stack, url: str, *words: str) -> tuple[int, str]:
    """Exit code and reason of a smoke."""
    env = {"OC_MODE": "live", "OC_BASE_URL": url, "OC_TIMEOUT_MS": str(TIMEOUT_MS)}
    done = engine(stack, "oc", "smoke", *words, env=env, deadline_s=END_S)
    reason: str = json.loads(done.stdout).get("reason", "")
    assert reason in done.stderr
    return done.code, reason


@pytest.mark.claim("S14.oc-html-refused")
@pytest.mark.parametrize("fault", BROKEN)
def test_what_is_not_the_promised_json_ends_run_and_smoke(
    stand_in: StandIn, provokes: Provokes, unique_goal: str, fault: str
) -> None:
    stack, (faults, words) = stand_in.stack, BROKEN[fault]
    stand_in.doing(**faults)

    header = await_plan(stack, unique_goal)
    provokes(header["workflowID"], fault)

    assert header["error"] == {"message": f"{PREFIX}{words}"}
    (row,) = calls(stack, header["workflowID"])
    assert (row["served_by"], row["error"]) == ("none", f"{PREFIX}{words}")
    assert steps(stack, header["workflowID"]) == []
    assert smoke(stack, stack.api_at("opencode").base_url) == (1, f"{PREFIX}{words}")
    assert stack.proc.alive("opencode")


@contextmanager
def failing(stand_in: StandIn, fault: str) -> Iterator[None]:
    """While the block runs the server is absent, hung, or broken; after it, it is well."""
    daemon = stand_in.stack.process("opencode")
    stand_in.doing(promptStructured=fault if fault == "error" else "hang")
    if fault == "absent":
        daemon.stop()
    if fault == "hung":
        daemon.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        if fault == "hung":
            daemon.signal(signal.SIGCONT)
        if fault in {"absent", "killed"}:
            daemon.start()
            stand_in.stack.process("live-worker").restart()  # the server is at another port


def list_questions(stand_in: StandIn, wid: str) -> list[str]:
    """What the first plan of the run asked of its session, once it is asked the plan itself."""
    return eventually(
        lambda: stand_in.of_session(title(wid)),
        deadline_s=END_S,
        until=lambda seen: "promptStructured" in seen,
    )


@pytest.mark.claim("S14.oc-strict-fails")
@pytest.mark.parametrize("fault", ["absent", "hung", "error", "killed"])
def test_a_server_that_cannot_answer_fails_the_run_and_no_stub_speaks(
    stand_in: StandIn, provokes: Provokes, unique_goal: str, fault: str
) -> None:
    stack = stand_in.stack
    with failing(stand_in, fault):
        wid = start_run(stack.api, unique_goal)
        provokes(wid, f"its server is {fault}")
        if fault == "killed":
            assert list_questions(stand_in, wid)[-1] == "promptStructured"
            assert stack.process("opencode").kill() == -9
        header = await_status(stack.api, wid, ANSWERED, deadline_s=END_S)
        assert header["error"]["message"].startswith(PREFIX)
        assert header["ocStrictMode"] is True  # nobody set it
        assert header["servedBy"] is None
        (row,) = calls(stack, wid)
        assert (row["served_by"], row["structured"]) == ("none", None)
        assert steps(stack, wid) == []
        url = NOBODY if fault in {"absent", "killed"} else stack.api_at("opencode").base_url
        code, reason = smoke(stack, url)
        assert (code, reason[: len(PREFIX)]) == (1, PREFIX)
    assert stack.proc.alive("opencode")


@pytest.mark.claim("S14.oc-tools-denied")
def test_a_denied_tool_is_denied_on_every_read(
    stand_in: StandIn, provokes: Provokes, unique_goal: str
) -> None:
    stack = stand_in.stack
    stand_in.doing(messages=USES_BASH)

    header = await_plan(stack, unique_goal)
    provokes(header["workflowID"], "its plan comes of a tool that is denied")
    assert header["error"] == {"message": DENIED}
    again = retry_until_planned(stack, header["workflowID"])
    assert again["error"] == {"message": DENIED}

    stand_in.doing()
    assert retry_until_planned(stack, header["workflowID"])["status"] == "WAITING_INPUT"
    rows = calls(stack, header["workflowID"])
    assert [(row["attempt"], row["error"], row["tool_calls"]) for row in rows] == [
        (1, DENIED, ["bash"]), (2, DENIED, ["bash"]), (3, None, ["StructuredOutput"]),
    ]  # fmt: skip


@pytest.mark.claim("S14.oc-tools-denied")
def test_what_a_ledger_says_of_tools_is_read_again_by_a_repair(
    stand_in: StandIn, provokes: Provokes, unique_goal: str
) -> None:
    stack = stand_in.stack
    stand_in.doing()
    wid = await_plan(stack, unique_goal)["workflowID"]
    provokes(wid, "its plan is rejected, and then found to come of a denied tool")
    assert answer_run(stack.api, wid, "no")["status"] == "ERROR"
    stack.admin.execute(
        f"UPDATE app.opencode_calls SET tool_calls = '[\"bash\"]'"  # noqa: S608  # an id of our own
        f" WHERE run_id = '{identity.run_id(wid)}'"
    )

    assert retry_until_planned(stack, wid)["error"] == {"message": DENIED}
    assert [row["tool_calls"] for row in calls(stack, wid)] == [["bash"]]


@pytest.mark.claim("S14.oc-tools-denied")
@pytest.mark.parametrize(
    ("faults", "child"),
    [
        ({"createSession": {"id": "ses_below", "parentID": "ses_above"}}, "ses_below"),
        ({"children": [{"id": "ses_child", "parentID": "ses_above"}]}, "ses_child"),
    ],
    ids=["born a child", "with a child"],
)
def test_a_session_of_a_session_is_refused(
    stand_in: StandIn, provokes: Provokes, unique_goal: str, faults: dict[str, Any], child: str
) -> None:
    stand_in.doing(**faults)

    header = await_plan(stand_in.stack, unique_goal)

    provokes(header["workflowID"], "its session belongs to another")
    assert header["error"] == {"message": f"child_session_denied: {child}"}
    (row,) = calls(stand_in.stack, header["workflowID"])
    assert row["error"] == f"child_session_denied: {child}"


@pytest.mark.claim("S14.oc-failures-not-reused")
def test_a_failed_call_stays_and_a_repair_calls_afresh(
    stand_in: StandIn, provokes: Provokes, unique_goal: str
) -> None:
    stack = stand_in.stack
    stand_in.doing(promptStructured={"info": {"structured": {"tests": "poison"}}})
    wid = await_plan(stack, unique_goal)["workflowID"]
    provokes(wid, "its first answer is off the schema")
    (failed,) = calls(stack, wid)
    assert failed["error"].startswith(f"{PREFIX}promptStructured:")
    stand_in.doing()

    assert retry_until_planned(stack, wid)["status"] == "WAITING_INPUT"
    assert answer_run(stack.api, wid)["status"] == "SUCCESS"

    first, *others = calls(stack, wid)
    assert first == failed
    assert [(row["step_id"], row["attempt"], row["error"]) for row in others] == [
        ("CompileST", 2, None), ("DecideST", 2, None),
    ]  # fmt: skip
    assert len({row["session_id"] for row in others}) == 2


@pytest.mark.claim("S14.oc-stall-bounded")
def test_a_stall_is_reverted_once_and_retried_once(
    stand_in: StandIn, provokes: Provokes, unique_goal: str
) -> None:
    stack = stand_in.stack
    stand_in.doing(promptStructured="hang")
    wid = start_run(stack.api, unique_goal)
    provokes(wid, "its server never answers")
    assert list_questions(stand_in, wid)[0] == "createSession"
    began = Stopwatch()

    header = await_status(stack.api, wid, ANSWERED, deadline_s=END_S)

    assert began.own_s < 2 * TIMEOUT_MS / 1000 + 5
    assert header["error"]["message"].startswith("oc_timeout_terminal: ")
    assert list_questions(stand_in, wid) == [
        "createSession", "promptStructured", "abort", "revert", "promptStructured", "abort",
    ]  # fmt: skip
    (row,) = calls(stack, wid)
    assert row["error"] == header["error"]["message"]
    assert stack.proc.alive("opencode")


@pytest.mark.claim("S14.oc-stall-bounded")
def test_a_server_that_is_killed_and_comes_back_doubles_nothing(
    stand_in: StandIn, provokes: Provokes, unique_goal: str
) -> None:
    stack, daemon = stand_in.stack, stand_in.stack.process("opencode")
    stand_in.doing(promptStructured="hang")
    wid = start_run(stack.api, unique_goal)
    provokes(wid, "its server is killed while it thinks")
    assert list_questions(stand_in, wid)[-1] == "promptStructured"
    assert daemon.kill() == -9
    stand_in.doing()
    daemon.start()  # at another port: the worker learns of it when it is started again
    header = await_status(stack.api, wid, ANSWERED, deadline_s=END_S)
    assert header["error"]["message"].startswith(f"{PREFIX}promptStructured:")
    stack.process("live-worker").restart()

    assert retry_until_planned(stack, wid)["status"] == "WAITING_INPUT"
    assert answer_run(stack.api, wid)["status"] == "SUCCESS"
    done = [row["step_id"] for row in calls(stack, wid) if row["error"] is None]
    assert done == ["CompileST", "DecideST"]


@pytest.mark.claim("S14.oc-fallback-marked")
def test_what_a_stub_answered_says_so_everywhere(
    stacks: Stacks, files: Files, unique_goal: str, tmp_path: Path
) -> None:
    with opencode.standing_in(stacks, tmp_path, OC_STRICT_MODE="0") as made:
        stack = made.stack
        assert stack.process("opencode").stop() is not None
        header = await_plan(stack, unique_goal)
        assert (header["status"], header["servedBy"], header["ocStrictMode"]) == (
            "WAITING_INPUT", "stub", False,
        )  # fmt: skip
        assert answer_run(stack.api, header["workflowID"])["servedBy"] == "stub"
        rows = calls(stack, header["workflowID"])
        assert [(row["served_by"], row["session_id"], row["error"]) for row in rows] == [
            ("stub", None, None), ("stub", None, None),
        ]  # fmt: skip
        out = tmp_path / "smoke.json"  # strict whatever the environment says
        code, reason = smoke(stack, NOBODY, "--out", str(out))
        assert (code, reason[: len(PREFIX)]) == (1, PREFIX)
        kept = json.loads(files.read(out) or b"null")
        assert (kept["ok"], kept["reason"], "claim" in kept) == (False, reason, False)
