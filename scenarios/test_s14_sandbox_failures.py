"""S14: how a failed command is classified and tried again, and providers that are not there."""

from __future__ import annotations

import json
import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_spec11.fixtures import Provokes
from pytest_spec11.oracles.files import Files
from pytest_spec11.oracles.sql import Row
from pytest_spec11.stacks import Stacks
from scenarios.support.contract.commands import engine
from scenarios.support.faults.crash_points import answer_open_gates, await_end
from scenarios.support.runs import sandboxes
from scenarios.support.runs.sandboxes import BUSY, HUNGRY, NARROW, SECRETS, Bench, bench

pytestmark = pytest.mark.S14


@pytest.fixture(scope="module")
def local(stacks: Stacks) -> Iterator[Bench]:
    """Commands of this machine, within bounds that no test meets."""
    with bench(stacks, sandboxes.LOCAL) as made:
        yield made


@pytest.fixture(scope="module")
def narrow(stacks: Stacks) -> Iterator[Bench]:
    """The same, within bounds that a test can meet, on an engine that has secrets."""
    with bench(stacks, sandboxes.LOCAL | NARROW | SECRETS) as made:
        yield made


SAID = {  # what a command says before it exits 1, and its class
    "timeout": "TIMEOUT",
    "Request timed out after 3 s": "TIMEOUT",
    "connect ETIMEDOUT 10.0.0.1:443": "TIMEOUT",
    "context deadline exceeded (code 4)": "TIMEOUT",
    "timed out: out of memory": "TIMEOUT",
    "fatal: Out of memory, malloc failed": "OOM",
    "OOM": "OOM",
    "oom-killer was invoked": "OOM",
    "Killed process 12 (node)": "OOM",
    "fork: Cannot allocate memory": "OOM",
    "MemoryError": "OOM",
    "no room left": "CMD_NONZERO",
    "boom, zoom, broom": "CMD_NONZERO",
    "oom_score_adj is read only": "CMD_NONZERO",
    "timeouts are configured": "CMD_NONZERO",
    "uploaded three parts": "CMD_NONZERO",
    "downloader is idle": "CMD_NONZERO",
    "networking is fun": "CMD_NONZERO",
    "dnsmasq is not there": "CMD_NONZERO",
    "overwrite file": "CMD_NONZERO",
    "read files": "CMD_NONZERO",
    "could not write. File a bug": "CMD_NONZERO",
    "assertion failed": "CMD_NONZERO",
}
SAID_OF_INFRASTRUCTURE = {
    "getaddrinfo ENOTFOUND registry": "NET_FAIL",
    "connect ECONNREFUSED 127.0.0.1:1": "NET_FAIL",
    "read ECONNRESET": "NET_FAIL",
    "Network is unreachable": "NET_FAIL",
    "DNS lookup failed": "NET_FAIL",
    "socket hang up": "NET_FAIL",
    "upload failed": "UPLOAD_FAIL",
    "could not write  file a.txt": "UPLOAD_FAIL",
    "filesIn: missing": "UPLOAD_FAIL",
    "download failed": "DOWNLOAD_FAIL",
    "cannot read file b.txt": "DOWNLOAD_FAIL",
    "filesOut: too large": "DOWNLOAD_FAIL",
}
TEXTS = {  # by how often such a command is tried; what the run says of the first
    1: (SAID, "SBX execution failed [TIMEOUT]"),
    3: (SAID_OF_INFRASTRUCTURE, "SBX Infra Error [NET_FAIL]: getaddrinfo ENOTFOUND registry"),
}


@pytest.mark.claim("S14.sbx-errors-classified")
@pytest.mark.parametrize("tries", TEXTS)
def test_what_a_command_says_is_classified_by_whole_tokens(
    local: Bench, provokes: Provokes, unique_goal: str, tries: int
) -> None:
    said, error = TEXTS[tries]
    commands = {f"echo {shlex.quote(text)} >&2; exit 1": code for text, code in said.items()}
    wid = local.start_run(unique_goal, *commands)
    provokes(wid, "its commands fail")

    header = await_end(local.stack, wid)

    rows = local.await_rows(wid, tries * len(said))
    found = [(row["cmd"].removeprefix("true; "), row["err_code"], row["attempt"]) for row in rows]
    assert sorted(found) == sorted(
        (command, code, attempt)
        for command, code in commands.items()
        for attempt in range(1, tries + 1)
    )
    assert header["error"]["message"].endswith(error)


@pytest.fixture
def rooms() -> Iterator[Path]:
    """Where commands are to have their directories, and nothing is."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Path(made) / "rooms"


def gaps(rows: list[Row]) -> list[bool]:
    """Whether each attempt came as long after the one before as it has to."""
    at = [row["created_at"].timestamp() for row in rows]
    return [
        later - earlier >= least
        for earlier, later, least in zip(at[:-1], at[1:], (0.8, 1.8), strict=True)
    ]


@pytest.mark.claim("S14.sbx-infra-retries")
def test_a_sandbox_that_does_not_boot_is_tried_three_times_and_no_more(
    stacks: Stacks, provokes: Provokes, rooms: Path, unique_goal: str
) -> None:
    with bench(stacks, sandboxes.LOCAL | {"SBX_LOCAL_DIR": str(rooms)}) as homeless:
        never = homeless.start_run(f"{unique_goal} never", "echo never")
        provokes(never, "its sandbox does not boot")

        failed = await_end(homeless.stack, never)

        assert list_attempts(homeless, never) == [
            (1, "BOOT_FAIL"),
            (2, "BOOT_FAIL"),
            (3, "BOOT_FAIL"),
        ]
        assert gaps(homeless.attempts(never)) == [True, True]
        assert homeless.read_execution_rows(never) == []
        why = "executeTask exceeded its maximum of 3 retries: SBX Infra Error [BOOT_FAIL]: local: "
        assert failed["error"]["message"].startswith(why)

        late = homeless.start_run(f"{unique_goal} late", "echo at last")
        answer_open_gates(homeless.stack, late)
        homeless.await_rows(late, 2)
        rooms.mkdir(mode=0o755)

        header = await_end(homeless.stack, late)

        assert list_attempts(homeless, late) == [(1, "BOOT_FAIL"), (2, "BOOT_FAIL"), (3, "NONE")]
        assert gaps(homeless.attempts(late)) == [True, True]
        assert homeless.read_execution_rows(late) == [{"attempt": 3, "code": "NONE"}]
        assert header["status"] == "SUCCESS"
        assert homeless.attempts(late)[2]["response"]["stdout"] == "at last\n"


def list_attempts(within: Bench, wid: str) -> list[tuple[int, str]]:
    """Each attempt of the run's command, and its class."""
    return [(row["attempt"], row["err_code"]) for row in within.attempts(wid)]


@pytest.mark.claim("S14.sbx-infra-retries")
def test_a_command_that_had_its_chance_has_one_attempt(
    narrow: Bench, provokes: Provokes, unique_goal: str
) -> None:
    commands = {"exit 3": "CMD_NONZERO", BUSY: "TIMEOUT", HUNGRY: "OOM"}
    wid = narrow.start_run(unique_goal, *commands)
    provokes(wid, "its commands fail")

    header = await_end(narrow.stack, wid)

    found = {
        (row["cmd"].removeprefix("true; "), row["err_code"], row["attempt"])
        for row in narrow.attempts(wid)
    }
    assert found == {(command, code, 1) for command, code in commands.items()}
    assert narrow.read_execution_rows(wid) == [{"attempt": 1, "code": "CMD_NONZERO"}]
    assert header["error"] == {"message": "SBX execution failed [CMD_NONZERO]"}


ABSENT = {
    "e2b": (sandboxes.E2B, "e2b: E2B_API_KEY is not set"),
    "microsandbox": (sandboxes.MICROSANDBOX, "microsandbox: "),
}


@pytest.mark.claim("S14.sbx-no-credentials")
@pytest.mark.parametrize("provider", ABSENT)
def test_a_provider_that_is_not_there_fails_by_its_name_and_nobody_stands_in(
    stacks: Stacks, provokes: Provokes, unique_goal: str, provider: str
) -> None:
    env, why = ABSENT[provider]
    with bench(stacks, env) as absent:
        smoke = engine(absent.stack, "sbx", "smoke")
        wid = absent.start_run(unique_goal, "echo never")
        provokes(wid, f"{provider} is not there")

        header = await_end(absent.stack, wid)

        assert smoke.code == 1
        assert f"provider {provider}: BOOT_FAIL: {why}" in smoke.stderr
        assert (header["status"], header["sbxProvider"]) == ("ERROR", provider)
        assert f"SBX Infra Error [BOOT_FAIL]: {why}" in header["error"]["message"]
        rows = absent.attempts(wid)
        assert {(row["provider"], row["err_code"], row["response"]["stdout"]) for row in rows} == {
            (provider, "BOOT_FAIL", "")
        }
        assert absent.read_execution_rows(wid) == []


@pytest.mark.claim("S14.live-evidence-bounded")
def test_the_record_of_a_smoke_says_what_ran_and_claims_no_more(
    local: Bench, files: Files, unique_goal: str, app_version: str
) -> None:
    record = local.shared / "smoke.json"

    smoke = engine(local.stack, "sbx", "smoke", "--samples", "3", "--out", str(record))

    told = json.loads(files.read(record) or b"")
    header = local.complete_run(unique_goal, "echo live")
    assert (smoke.code, smoke.stdout, smoke.stderr) == (0, "", "")
    version = told.pop("providerVersion")
    assert version.startswith("Linux ")
    assert told == {
        "schemaVersion": 1,
        "smoke": "sbx",
        "provider": "local",
        "mode": "live",
        "servedBy": "live:local",
        "appVersion": app_version,
        "samples": 3,
        "succeeded": 3,
        "claim": "this strict path worked 3 times",
        "failures": [],
    }
    posture = (told["mode"], told["provider"], told["appVersion"])
    assert (header["sbxMode"], header["sbxProvider"], header["appVersion"]) == posture


@pytest.mark.claim("S14.live-evidence-bounded")
def test_the_record_of_a_failure_claims_nothing(
    local: Bench, files: Files, app_version: str
) -> None:
    record = local.shared / "failed.json"

    smoke = engine(
        *(local.stack, "sbx", "smoke", "--samples", "2", "--out", str(record)),
        env=sandboxes.E2B,
    )

    told = json.loads(files.read(record) or b"")
    assert smoke.code == 1
    assert (told["provider"], told["servedBy"], told["succeeded"]) == ("e2b", "none", 0)
    assert told["claim"] == "this strict path worked 0 times"
    assert told["failures"] == ["provider e2b: BOOT_FAIL: e2b: E2B_API_KEY is not set"]
    health = local.stack.api.get("/healthz").json()
    assert health["appVersion"] == told["appVersion"] == app_version
