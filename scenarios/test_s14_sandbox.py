"""S14: commands that really run, what bounds them, and providers that are not there."""

from __future__ import annotations

import json
import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_spec11.fixtures import Provokes
from pytest_spec11.oracles.files import Files
from pytest_spec11.oracles.sql import Row
from pytest_spec11.stacks import Stack, Stacks
from pytest_spec11.waiting import eventually
from scenarios.support.contract.commands import engine
from scenarios.support.faults.crash_points import answer_open_gates, await_end
from scenarios.support.runs import sandboxes
from scenarios.support.runs.sandboxes import Bench, bench

pytestmark = pytest.mark.S14

MIB = 2**20
KEPT = 256 * 1024  # of one stream
SECRETS = {
    "SPEC11_WEBHOOK_SECRET": "webhooks-of-the-sandbox",
    "E2B_API_KEY": "e2b-of-the-sandbox",
}
NARROW = {
    "SBX_DEFAULT_TIMEOUT_MS": "30000",
    "SBX_LOCAL_CPU_S": "1",
    "SBX_MEMORY_MB": "64",
    "SBX_LOCAL_FILE_MB": "1",
    "SBX_LOCAL_PROCESSES": "24",
}
BUSY = "while :; do :; done"
HUNGRY = "head -c 1000000000 /dev/zero | tail"


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


def only(rows: list[Row]) -> Row:
    """The one attempt of the one command."""
    (row,) = rows
    return row


@pytest.mark.claim("S14.sbx-local-runs")
def test_a_command_really_runs_and_what_it_does_is_what_is_recorded(
    local: Bench, files: Files, unique_goal: str
) -> None:
    mark = local.shared / "mark"
    command = (
        f"printf spec11 | sha256sum; echo to-stderr >&2; sleep 1.2; echo '{{\"a\": 1}}' > out.json;"
        f" mkdir below; echo no > below/deep.json; echo no > other.txt; echo $SPEC11_TASK > {mark}"
    )

    header = local.complete_run(unique_goal, command)

    row = only(local.attempts(header["workflowID"]))
    ran = row["response"]
    assert (header["status"], header["sbxMode"], header["sbxProvider"]) == (
        *("SUCCESS", "live"),
        "local",
    )
    assert (row["provider"], row["err_code"], row["attempt"]) == ("local", "NONE", 1)
    assert (ran["exit"], ran["stderr"], ran["filesOut"]) == (
        *(0, "to-stderr\n"),
        {"out.json": '{"a": 1}\n'},
    )
    known = "1dff4c9988ee95f778ea29c281921a477e4fbed0da3e20649031a129687f23c0  -\n"
    assert ran["stdout"] == known
    assert 1200 <= row["metrics"]["wallMs"] < 30_000
    assert (row["metrics"]["stdoutBytes"], row["metrics"]["truncated"]) == (len(known), 0)
    assert files.read(mark) == f"{row['task_key']}\n".encode()
    assert shown(local.stack, row) == known.encode()


def shown(stack: Stack, row: Row) -> bytes:
    """The artifact stdout.log of the attempt as the API serves it."""
    uri = stack.app_sql.value(
        "SELECT uri FROM app.artifacts WHERE task_key = %(t)s AND kind = 'stdout'",
        t=row["task_key"],
    )
    return stack.api.get(f"/api/artifacts/{uri}").body


@pytest.mark.claim("S14.sbx-local-runs")
def test_a_command_that_exits_3_fails_its_run_at_the_first_attempt(
    local: Bench, files: Files, provokes: Provokes, unique_goal: str
) -> None:
    mark = local.shared / "three"
    wid = local.start_run(unique_goal, f"echo began >> {mark}; exit 3")
    provokes(wid, "its command exits 3")

    header = await_end(local.stack, wid)

    row = only(local.attempts(wid))
    assert (row["provider"], row["err_code"], row["attempt"]) == ("local", "CMD_NONZERO", 1)
    assert row["response"]["exit"] == 3
    assert header["status"] == "ERROR"
    assert header["error"] == {"message": "SBX execution failed [CMD_NONZERO]"}
    assert files.read(mark) == b"began\n"


@pytest.mark.claim("S14.sbx-local-runs")
def test_a_flood_of_output_is_counted_in_full_and_kept_in_part(
    local: Bench, files: Files, unique_goal: str
) -> None:
    mark = local.shared / "flooded"

    header = local.complete_run(
        unique_goal, f"yes | head -c 20000000; printf 'a\\0b' >&2; echo x > {mark}"
    )

    row = only(local.attempts(header["workflowID"]))
    assert (header["status"], row["err_code"]) == ("SUCCESS", "NONE")
    assert (row["metrics"]["stdoutBytes"], row["metrics"]["truncated"]) == (20_000_000, 1)
    assert row["response"]["stdout"] == "y\n" * (KEPT // 2)
    assert row["response"]["stderr"] == "a\ufffdb"
    assert files.read(mark) == b"x\n"


LIMITS: dict[str, tuple[str, str, Any]] = {  # a command, its class, and what shows that it was held
    "processor time": (BUSY, "TIMEOUT", lambda row: row["metrics"]["wallMs"] < 30_000),
    "memory": (HUNGRY, "OOM", lambda row: 57 <= row["metrics"]["memPeakMB"] < 200),
    "file size": (
        *("head -c 5000000 /dev/zero > big; wc -c < big; exit 9", "CMD_NONZERO"),
        lambda row: (row["response"]["exit"], row["response"]["stdout"]) == (9, f"{MIB}\n"),
    ),
    "processes": (
        *("b() { sleep 600 & b; }; b", "CMD_NONZERO"),
        lambda row: row["response"]["exit"] != 0,
    ),
    "a fork bomb": (
        *("b() { b | b & }; while :; do b; done", "CMD_NONZERO"),
        lambda row: row["response"]["exit"] != 0,
    ),
}


@pytest.mark.claim("S14.sbx-local-limits")
@pytest.mark.parametrize("limit", LIMITS)
def test_a_limit_stops_the_command_and_nothing_of_it_is_left(
    narrow: Bench, files: Files, provokes: Provokes, unique_goal: str, limit: str
) -> None:
    command, code, held = LIMITS[limit]
    stay = Stay(narrow, limit.replace(" ", "-"))
    wid = narrow.start_run(unique_goal, f"{stay.begins}; {command}")
    provokes(wid, f"its command goes beyond its {limit}")

    header = await_end(narrow.stack, wid)

    row = only(narrow.attempts(wid))
    assert (row["err_code"], row["attempt"], held(row)) == (code, 1, True)
    assert header["error"] == {"message": f"SBX execution failed [{code}]"}
    stay.is_over(files)


@pytest.mark.claim("S14.sbx-local-limits")
def test_wall_time_stops_the_command_and_nothing_of_it_is_left(
    stacks: Stacks, files: Files, provokes: Provokes, unique_goal: str
) -> None:
    with bench(stacks, sandboxes.LOCAL | {"SBX_DEFAULT_TIMEOUT_MS": "2500"}) as hasty:
        stay = Stay(hasty, "wall")
        wid = hasty.start_run(unique_goal, f"{stay.begins}; sleep 600")
        provokes(wid, "its command takes too long")

        header = await_end(hasty.stack, wid)

        row = only(hasty.attempts(wid))
        assert (row["err_code"], row["attempt"]) == ("TIMEOUT", 1)
        assert 2500 <= row["metrics"]["wallMs"] < 4500
        assert header["error"] == {"message": "SBX execution failed [TIMEOUT]"}
        stay.is_over(files)


@pytest.mark.claim("S14.sbx-local-limits")
def test_commands_end_with_the_worker_that_ran_them(
    local: Bench, files: Files, unique_goal: str
) -> None:
    stays = [Stay(local, f"orphan-{number}") for number in range(3)]
    marks = [local.shared / f"again-{number}" for number in range(3)]
    wid = local.start_run(
        unique_goal,
        *(
            f"[ -e {mark} ] && exit 0; {stay.begins}; touch {mark}; sleep 600"
            for stay, mark in zip(stays, marks, strict=True)
        ),
    )
    answer_open_gates(local.stack, wid)
    eventually(lambda: all(mark.exists() for mark in marks), deadline_s=60)

    assert local.stack.process("worker").kill() == -9

    for stay in stays:
        stay.is_over(files, within_s=2)
    local.stack.process("worker").start()
    assert await_end(local.stack, wid)["status"] == "SUCCESS"


class Stay:
    """Where one command was, and the processes of it that would have stayed."""

    def __init__(self, within: Bench, name: str) -> None:
        self._proc = within.stack.proc
        self._place = within.shared / f"{name}.place"
        daemon = within.shared / f"{name}.daemon"
        self._daemon = daemon
        orphan = f"(setsid sh -c 'echo $$ > {daemon}; exec sleep 600' &)"
        arrived = f"while ! [ -s {daemon} ]; do sleep 0.05; done"
        self.begins = f"echo here > own; {orphan}; {arrived}; echo $$ $PWD > {self._place}"

    def is_over(self, files: Files, within_s: float = 0.05) -> None:
        """Neither process is there, nor is the directory."""
        told = files.read(self._place), files.read(self._daemon)
        assert None not in told
        pid, directory = (told[0] or b"").decode().split()
        daemon = (told[1] or b"").decode()
        pids = [int(pid), int(daemon)]
        eventually(lambda: not any(self._proc.exists(each) for each in pids), deadline_s=within_s)
        eventually(lambda: not Path(directory).exists(), deadline_s=within_s)
        assert files.read(f"{directory}/own") is None


@pytest.mark.claim("S14.sbx-local-limits")
def test_a_command_knows_nothing_of_the_engine_and_writes_nowhere_else(
    narrow: Bench, files: Files, unique_goal: str
) -> None:
    env = narrow.stack.proc.environ("worker")
    assert SECRETS.items() <= env.items()
    with tempfile.NamedTemporaryFile() as outside, tempfile.TemporaryDirectory() as open_to_all:
        for path, mode in ((outside.name, 0o666), (open_to_all, 0o777)):
            Path(path).chmod(mode)
        attempts = f"echo bad > {outside.name}; echo bad > {open_to_all}/new"
        others = f"cat /proc/{narrow.stack.proc.pid('worker')}/environ /proc/$PPID/environ"
        mark = narrow.shared / "wrote"

        header = narrow.complete_run(
            unique_goal, f"env; {attempts}; {others}; kill -9 $PPID; echo good > {mark}"
        )

        ran = only(narrow.attempts(header["workflowID"]))["response"]
        names = {line.partition("=")[0] for line in ran["stdout"].splitlines()}
        assert names == {
            *("HOME", "LANG", "PATH", "PWD", "TMPDIR"),
            *("SPEC11_TASK", "SPEC11_ATTEMPT"),
        }
        secrets = [*SECRETS.values(), env["SPEC11_DSN"]]
        assert [each for each in secrets if each in json.dumps(ran)] == []
        assert ran["stderr"].count("ermission denied") == 4
        assert files.read(outside.name) == b""
        assert files.read(f"{open_to_all}/new") is None
        assert files.read(mark) == b"good\n"


@pytest.mark.claim("S14.sbx-local-limits")
def test_a_command_reaches_nobody_over_the_network(
    narrow: Bench, files: Files, unique_goal: str
) -> None:
    port = narrow.stack.base_url.rpartition(":")[2]
    mark = narrow.shared / "alone"
    asks = (
        "import socket, sys\n"
        f"try: socket.create_connection(('127.0.0.1', {port}), 5)\n"
        "except OSError: print('nobody', file=open(sys.argv[1], 'w'))"
    )

    header = narrow.complete_run(unique_goal, f"/usr/bin/env python3 -c {shlex.quote(asks)} {mark}")

    assert narrow.stack.api.get("/healthz").status == 200
    assert only(narrow.attempts(header["workflowID"]))["err_code"] == "NONE"
    assert narrow.stack.proc.alive("worker")
    assert files.read(mark) == b"nobody\n"


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

        assert tried(homeless, never) == [(1, "BOOT_FAIL"), (2, "BOOT_FAIL"), (3, "BOOT_FAIL")]
        assert gaps(homeless.attempts(never)) == [True, True]
        assert homeless.read_execution_rows(never) == []
        why = "executeTask exceeded its maximum of 3 retries: SBX Infra Error [BOOT_FAIL]: local: "
        assert failed["error"]["message"].startswith(why)

        late = homeless.start_run(f"{unique_goal} late", "echo at last")
        answer_open_gates(homeless.stack, late)
        homeless.await_rows(late, 2)
        rooms.mkdir(mode=0o755)

        header = await_end(homeless.stack, late)

        assert tried(homeless, late) == [(1, "BOOT_FAIL"), (2, "BOOT_FAIL"), (3, "NONE")]
        assert gaps(homeless.attempts(late)) == [True, True]
        assert homeless.read_execution_rows(late) == [{"attempt": 3, "code": "NONE"}]
        assert header["status"] == "SUCCESS"
        assert homeless.attempts(late)[2]["response"]["stdout"] == "at last\n"


def tried(within: Bench, wid: str) -> list[tuple[int, str]]:
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
