"""S00: what the run header and the sign-off say of the processes, and where those listen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from pytest_spec11.oracles.http import Api
from pytest_spec11.oracles.proc import Proc
from pytest_spec11.stacks import Stack, Stacks
from pytest_spec11.target import Target
from scenarios.support.contract.commands import engine
from scenarios.support.contract.headers import POSTURE
from scenarios.support.contract.start_requests import start

pytestmark = pytest.mark.S00
SCOPES = ("demo", "signoff", "live-smoke")
# Variable, what it means when nobody sets it, and the header's word for it.
MODES = (
    ("WORKFLOW_RUNTIME_MODE", "api-shim", "runtimeMode"),
    ("OC_MODE", "replay", "ocMode"),
    ("SBX_MODE", "mock", "sbxMode"),
    ("SBX_PROVIDER", "e2b", "sbxProvider"),
    ("DBOS__APPVERSION", "v1", "appVersion"),
    ("CLAIM_SCOPE", "demo", "claimScope"),
)


@pytest.mark.claim("S00.posture-echoed")
def test_header_and_sign_off_say_what_the_environment_of_both_processes_says(
    api: Api, proc: Proc, unique_goal: str
) -> None:
    header = api.post("/api/run", json=start(unique_goal)).json()
    board = api.get("/api/ops/signoff").json()

    shown = {name: header[name] for name in POSTURE}
    assert shown == _expect_posture(proc.environ("api"))
    assert shown == _expect_posture(proc.environ("worker"))
    assert board["posture"] == shown


def _expect_posture(env: Mapping[str, str]) -> dict[str, Any]:
    """The posture that an environment stands for."""
    strict = (env.get("OC_STRICT_MODE") or "true").lower() in {"true", "1"}
    modes = {key: env.get(name) or default for name, default, key in MODES}
    return {"topology": "api-shim", "ocStrictMode": strict, **modes}


@pytest.fixture(scope="module")
def scoped(stacks: Stacks, spec11_target: Target) -> Iterator[Stack]:
    """An api-shim for each scope but the target's own, and one whose environment names none."""
    shim = spec11_target.process("api")
    without = {name: value for name, value in shim.env.items() if name != "CLAIM_SCOPE"}
    extra = {scope: shim.using({"CLAIM_SCOPE": scope}) for scope in SCOPES}
    extra["unset"] = replace(shim, env=without)
    with stacks.start(only=("api",), extra=extra) as stack:
        yield stack


@pytest.mark.claim("S00.claim-scope-closed")
def test_header_and_sign_off_say_the_scope_of_the_environment_and_demo_for_none(
    scoped: Stack, unique_goal: str
) -> None:
    names = (*SCOPES, "unset")
    wid = scoped.api.post("/api/run", json=start(unique_goal)).json()["workflowID"]

    said = {
        name: scoped.api_at(name).get(f"/api/runs/{wid}").json()["claimScope"] for name in names
    }

    boards = {name: scoped.api_at(name).get("/api/ops/signoff").json() for name in names}
    assert said == {**{scope: scope for scope in SCOPES}, "unset": "demo"}
    assert {name: board["posture"]["claimScope"] for name, board in boards.items()} == said
    given = {name: scoped.proc.environ(name).get("CLAIM_SCOPE") for name in names}
    assert given == {**{scope: scope for scope in SCOPES}, "unset": None}


def test_both_processes_listen_on_loopback_alone(proc: Proc) -> None:
    listening = proc.sockets("api")

    assert len(listening) == 1
    assert all(socket.loopback for socket in listening)
    assert proc.sockets("worker") == []


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104  # it has to be refused
def test_listening_anywhere_else_without_a_token_is_refused(idle: Stack, host: str) -> None:
    ended = engine(idle, "api", env={"SPEC11_HOST": host}, deadline_s=5)

    assert (ended.code, ended.stdout) == (2, "")
    assert f"SPEC11_HOST='{host}' is not loopback and needs SPEC11_API_TOKEN" in ended.stderr


@pytest.mark.claim("S00.claim-scope-closed")
@pytest.mark.parametrize("scope", ["batch", "interactive", "Signoff"])
@pytest.mark.parametrize("process", ["api", "worker"])
def test_any_other_scope_refuses_to_start(idle: Stack, process: str, scope: str) -> None:
    ended = engine(idle, process, env={"CLAIM_SCOPE": scope}, deadline_s=10)
    board = idle.api.get("/api/ops/signoff").json()

    assert (ended.code, ended.stdout) == (2, "")
    assert f"CLAIM_SCOPE='{scope}' is not one of demo, signoff, live-smoke" in ended.stderr
    assert board["posture"]["claimScope"] != scope
