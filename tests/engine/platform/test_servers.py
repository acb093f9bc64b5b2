from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from engine.errors import Misconfigured
from engine.postgres.account import Account
from engine.postgres.server import PORT, EmbeddedServer, connect
from pytest_spec11.waiting import GIVE_UP_S, eventually
from tests.engine.processes import (
    begin_command,
    cmdline,
    engine,
    find_processes,
    nothing_is_left,
    postmaster,
)

READY = re.compile(r"postgres ready host=(\S+) port=\d+\n")


def test_sigkill_of_its_owner_ends_a_throw_away_server_and_removes_its_directory() -> None:
    with begin_command("db", "serve", "--ephemeral") as owner:
        assert owner.stdout is not None
        ready = READY.fullmatch(owner.stdout.readline())
        assert ready is not None
        [server] = [
            each
            for each in psutil.Process(owner.pid).children(recursive=True)
            if Path(next(iter(cmdline(each)), "")).name == "postgres" and "-D" in cmdline(each)
        ]
        root = Path(cmdline(server)[cmdline(server).index("-D") + 1]).parent
        assert root.is_dir()

        owner.kill()

    eventually(lambda: not root.exists() and not Path(ready[1]).exists(), deadline_s=8)
    eventually(lambda: find_processes(root) == [], deadline_s=8)


def test_a_durable_directory_keeps_committed_rows_through_sigkill_of_the_server(
    data: Path,
) -> None:
    with EmbeddedServer(data=data) as server:
        with connect(server.dsn("postgres", "postgres")) as admin:
            admin.execute("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
        postmaster(data).kill()
        eventually(lambda: server.exit_code is not None, deadline_s=5)

    with EmbeddedServer(data=data) as server, connect(server.dsn("postgres", "postgres")) as db:
        seen = db.execute("SELECT count(*), sum(n) FROM kept").fetchone()
        durable = db.execute("SHOW fsync").fetchone()

    assert seen == (1000, 500500)
    assert durable == ("on",)


def test_a_server_says_that_it_ended_and_where_its_log_is(data: Path) -> None:
    with begin_command("db", "serve", "--data-dir", str(data)) as serving:
        assert serving.stdout is not None
        assert serving.stderr is not None
        assert READY.fullmatch(serving.stdout.readline())
        postmaster(data).kill()

        code, said = serving.wait(GIVE_UP_S), serving.stderr.read()

    assert (code, "postgres ended with" in said) == (4, True)
    assert str(data / "postgres.log") in said
    nothing_is_left(data)


def test_a_closed_directory_is_refused_to_root_and_fine_for_everybody_else(data: Path) -> None:
    closed = data.parent / "closed"
    closed.mkdir(mode=0o700)

    ended = engine("db", "migrate", "--data-dir", str(closed / "data"))

    if os.geteuid() == 0:
        assert (ended.code, ended.stdout) == (2, "")
        [line] = ended.stderr.splitlines()
        assert re.search(rf"{closed}/data is closed to account \w+, as whom root runs", line)
    else:
        assert (ended.code, ended.stderr) == (0, "")


@pytest.mark.parametrize(("lent", "mode"), [(True, 0o711), (False, 0o700)])
def test_an_account_reaches_what_it_may_enter(data: Path, mode: int, lent: bool) -> None:  # noqa: FBT001  # a column of the table
    data.mkdir()
    data.chmod(mode)

    Account("nobody", 65534, 65534, lent=lent).require_reach(data / "below")


def test_an_account_is_refused_what_it_may_not_enter(data: Path) -> None:
    data.mkdir()
    data.chmod(0o710)

    with pytest.raises(Misconfigured, match="closed to account nobody"):
        Account("nobody", 65534, 65534, lent=True).require_reach(data / "below")


CONNECT = """
import os, socket, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
for path in sys.argv[1:]:
    try:
        print(socket.socket(socket.AF_UNIX).connect(path))
    except OSError as error:
        print(error.strerror)
"""


def test_no_other_account_reaches_the_server_or_reads_its_log(data: Path) -> None:
    with EmbeddedServer(data) as server:
        path = server.place.socket_dir / f".s.PGSQL.{PORT}"
        modes = [stat.S_IMODE(each.stat().st_mode) for each in (data, path.parent, path)]
        assert modes == [0o700] * 3
        assert stat.S_IMODE(server.place.log.stat().st_mode) == 0o600
        if os.geteuid() == 0:
            asked = [sys.executable, "-c", CONNECT, str(path)]
            answer = subprocess.run(asked, capture_output=True, text=True, check=True)  # noqa: S603  # ours
            assert answer.stdout == "Permission denied\n"


def test_a_directory_of_others_is_not_taken(data: Path) -> None:
    data.mkdir(mode=0o755)
    (data / "users-file").touch()
    before = data.stat()

    ended = engine("db", "migrate", "--data-dir", str(data))

    assert ended.code == 2
    assert ended.stderr.count("\n") == 1
    assert f"{data} has files that no server made, as 'users-file'" in ended.stderr
    assert [each.name for each in data.iterdir()] == ["users-file"]
    assert (data.stat().st_uid, data.stat().st_mode) == (before.st_uid, before.st_mode)


def test_a_directory_that_everybody_may_write_to_is_not_taken(data: Path) -> None:
    data.mkdir()
    data.chmod(0o1777)

    ended = engine("db", "migrate", "--data-dir", str(data))

    assert (ended.code, [*data.iterdir()]) == (2, [])
    assert f"everybody may write to {data}" in ended.stderr
