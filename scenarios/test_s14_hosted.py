"""S14 at scope live-smoke: a hosted model and a hosted sandbox, with the credentials given."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_spec11.errors import NotProvable
from pytest_spec11.stacks import Stacks
from scenarios.support.contract import identity
from scenarios.support.runs.agent_calls import await_plan, calls
from scenarios.support.runs.run_lifecycle import answer_run

pytestmark = pytest.mark.S14

PROVIDERS = "SELECT DISTINCT provider FROM app.sbx_runs WHERE run_id = %(r)s"


@pytest.fixture
def hosted(request: pytest.FixtureRequest) -> dict[str, str]:
    """The environment of the live seams. Raises NotProvable without credentials."""
    url = request.config.getoption("--hosted-oc-url")
    key_file = request.config.getoption("--hosted-e2b-key-file")
    if not (url and key_file):
        raise NotProvable("needs --hosted-oc-url and --hosted-e2b-key-file")
    return {
        "OC_MODE": "live",
        "OC_BASE_URL": url,
        "SBX_MODE": "live",
        "SBX_PROVIDER": "e2b",
        "E2B_API_KEY": Path(key_file).read_text(encoding="utf-8").strip(),
    }


@pytest.mark.claim("S14.live-hosted-seams")
def test_a_strict_run_goes_through_the_hosted_seams(
    stacks: Stacks, hosted: dict[str, str], unique_goal: str
) -> None:
    with stacks.start(env=hosted) as stack:
        assert stack.proc.alive("worker")
        wid = await_plan(stack, unique_goal)["workflowID"]
        header = answer_run(stack.api, wid)

        assert (header["status"], header["servedBy"], header["ocStrictMode"]) == (
            "SUCCESS", "live", True,
        )  # fmt: skip
        asked = calls(stack, wid)
        assert [row["served_by"] for row in asked] == ["live", "live"]
        assert all(row["server_version"].startswith("opencode ") for row in asked)
        assert stack.app_sql.one(PROVIDERS, r=identity.run_id(wid)) == {"provider": "e2b"}
