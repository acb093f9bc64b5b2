"""What is started by fork is what its command would be: prover and engine meet here, too."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from pytest_spec11.errors import TargetFailed
from pytest_spec11.launch.fork_servers import Forked, ForkServers
from pytest_spec11.launch.processes import Running, Site
from pytest_spec11.launch.reaper import Reaper
from pytest_spec11.target import ForkServer, Process
from pytest_spec11.waiting import eventually
from tests.engine.processes import ENGINE, environment

SERVED = (*ENGINE, "api")
NOWHERE = "host=/nowhere port=1 user=nobody dbname=nothing"
READY = r"^listening on (?P<url>http://\S+)"


def server(room: int = 4096) -> ForkServer:
    return ForkServer(
        command=(*ENGINE, "forkserver", "api", "--room", "x" * 256),
        program=SERVED,
        env=environment(PYTHONUNBUFFERED="1", SPEC11_ROOM="x" * room),
    )


@pytest.fixture
def reaper() -> Iterator[Reaper]:
    made = Reaper()
    yield made
    made.close()


@pytest.fixture
def servers(tmp_path: Path, reaper: Reaper) -> Iterator[ForkServers]:
    made = ForkServers(tmp_path, reaper)
    yield made
    made.close()


@pytest.fixture
def api(servers: ForkServers, tmp_path: Path, reaper: Reaper) -> Iterator[Running]:
    """An api-shim that was forked; its database is nowhere, which it can live with."""
    started = Running(
        process(), tmp_path / "api.log", Site("r", tmp_path, reaper, fork_servers=servers)
    )
    started.spawn({})
    eventually(started.readiness, deadline_s=60)
    yield started
    started.ask_to_stop()
    started.reap()


def process(**env: str) -> Process:
    return Process(
        name="api",
        command=SERVED,
        env=environment(PYTHONUNBUFFERED="1", SPEC11_DSN=NOWHERE, PORT="0") | env,
        ready=READY,
        fork_server=server(),
    )


def began(servers: ForkServers, log: Path, **env: str) -> Forked:
    given = environment(PYTHONUNBUFFERED="1", **env)
    with log.open("ab") as output:
        return servers.start(server(), SERVED, given, output.fileno())


def test_it_is_a_fork_that_leads_a_session_of_its_own(api: Running) -> None:
    seen = psutil.Process(api.pid)
    parent = seen.parent()

    assert parent is not None
    assert parent.cmdline()[3:5] == ["forkserver", "api"]
    assert (os.getpgid(api.pid), os.getsid(api.pid)) == (api.pid, api.pid)
    assert [each.fd for each in seen.open_files() if each.path.endswith("fork-server-0.log")] == []


def test_the_table_of_processes_shows_it_as_its_command(api: Running) -> None:
    seen = psutil.Process(api.pid)

    assert [word for word in seen.cmdline() if word] == list(SERVED)
    assert seen.environ() == dict(api.process.env)
    assert seen.cwd() == str(Path.cwd())


def test_it_ends_as_it_was_told_and_is_there_until_it_was_looked_at(api: Running) -> None:
    api.signal(signal.SIGKILL)

    seen = psutil.Process(api.pid)
    eventually(lambda: seen.status() == psutil.STATUS_ZOMBIE, deadline_s=10)
    assert api.exit_code == -signal.SIGKILL
    assert not psutil.pid_exists(api.pid)
    assert api.exit_code == -signal.SIGKILL


def test_a_polite_end_is_a_clean_one(api: Running) -> None:
    api.ask_to_stop()
    assert api.reap() == 0


def test_one_that_cannot_start_says_why_in_its_log_and_by_its_status(
    servers: ForkServers, tmp_path: Path
) -> None:
    refused = began(servers, tmp_path / "log", PORT="none", SPEC11_DSN=NOWHERE)

    assert refused.wait(30) == 2
    assert "PORT='none' is not a whole number" in (tmp_path / "log").read_text()


def test_a_wait_that_is_too_short_says_so(api: Running) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        api._popen.wait(0.01)  # type: ignore[union-attr]  # noqa: SLF001  # what wait_exit is made of


def test_the_next_one_has_nothing_of_the_one_before(servers: ForkServers, tmp_path: Path) -> None:
    first = began(servers, tmp_path / "first", PORT="wrong")
    second = began(servers, tmp_path / "second", SPEC11_DSN="wrong")

    assert (first.wait(30), second.wait(30)) == (2, 2)
    assert "PORT" in (tmp_path / "first").read_text()
    assert "PORT" not in (tmp_path / "second").read_text()


def test_what_does_not_fit_into_the_table_is_not_started(
    servers: ForkServers, tmp_path: Path
) -> None:
    with pytest.raises(TargetFailed, match=r"bytes to be shown, and room for \d+"):
        began(servers, tmp_path / "log", LONG="x" * 5000)


def test_processes_outlive_their_server_which_is_gone_after_close(
    servers: ForkServers, tmp_path: Path
) -> None:
    seen = psutil.Process(began(servers, tmp_path / "log", SPEC11_DSN=NOWHERE, PORT="0").pid)
    parent = seen.parent()

    servers.close()

    assert parent is not None
    assert not parent.is_running()
    assert seen.status() != psutil.STATUS_ZOMBIE
    seen.kill()
    seen.wait(10)


def test_a_server_that_ends_is_told_with_its_last_words(tmp_path: Path, reaper: Reaper) -> None:
    broken = ForkServer(
        command=(sys.executable, "-c", "raise SystemExit('no such program')"), program=SERVED
    )
    servers = ForkServers(tmp_path, reaper)
    with (
        (tmp_path / "log").open("ab") as output,
        pytest.raises(TargetFailed, match="no such program"),
    ):
        servers.start(broken, SERVED, {}, output.fileno())
    servers.close()


def test_servers_load_before_anybody_asks_them(servers: ForkServers, tmp_path: Path) -> None:
    before = {each.pid for each in psutil.Process().children()}  # stacks of other tests have theirs
    servers.begin([server(), server()])

    [loading] = (
        each
        for each in psutil.Process().children()
        if each.pid not in before and each.cmdline()[3:5] == ["forkserver", "api"]
    )
    forked = began(servers, tmp_path / "log", PORT="none")
    assert psutil.Process(forked.pid).ppid() == loading.pid
    assert forked.wait(30) == 2


@pytest.mark.parametrize(
    ("command", "env", "served"),
    [
        (SERVED, {}, True),
        ((*SERVED, "--data-dir", "d"), {"DBOS__VMID": "w7"}, True),
        ((*ENGINE, "worker"), {}, False),
        (("env", *SERVED), {}, False),
        (SERVED, {"PYTHONPATH": "elsewhere"}, False),
        (SERVED, {"LD_PRELOAD": "clock.so"}, False),
    ],
)
def test_only_what_a_fork_can_be_is_one(
    command: tuple[str, ...], env: dict[str, str], *, served: bool
) -> None:
    given = environment(PYTHONUNBUFFERED="1") | env
    assert server().serves(command, given) is served


def test_what_the_server_was_given_and_the_process_was_not_tells_them_apart() -> None:
    assert not server().serves(SERVED, {})


def test_without_fork_servers_it_is_started_by_its_command(tmp_path: Path, reaper: Reaper) -> None:
    plain = Running(process(PORT="none"), tmp_path / "log", Site("r", tmp_path, reaper))
    plain.spawn({})

    parent = psutil.Process(plain.pid).ppid()

    assert plain.wait_exit(60) == 2
    assert parent == os.getpid()


def test_a_fork_server_needs_a_socket() -> None:
    refused = subprocess.run(  # noqa: S603  # our own words only
        [*ENGINE, "forkserver", "worker"],
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 2
    assert re.search("standard input is no socket", refused.stderr)
