"""S14: commands that really run, and what bounds them."""

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
from scenarios.support.faults.crash_points import answer_open_gates, await_end
from scenarios.support.runs import sandboxes
from scenarios.support.runs.sandboxes import BUSY, HUNGRY, NARROW, SECRETS, Bench, bench

pytestmark = pytest.mark.S14

MIB = 2**20
KEPT = 256 * 1024  # of one stream


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
    assert read_output(local.stack, row) == known.encode()


def read_output(stack: Stack, row: Row) -> bytes:
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
