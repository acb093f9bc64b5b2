"""The lease and the sidecar: one owner, many borrowers, nothing left when the owner is gone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from engine.postgres.server import EmbeddedServer, connect
from pytest_spec11.addresses import Address
from pytest_spec11.errors import NotObserved, TargetFailed
from pytest_spec11.launch.lease import MAIN, SERVICES, Borrowed, Owned, Shelf
from pytest_spec11.launch.processes import Site
from pytest_spec11.launch.reaper import Reaper, end_groups
from pytest_spec11.launch.timings import Timings
from pytest_spec11.target import Process, Target, TemplateDatabase
from pytest_spec11.waiting import eventually
from tests.plugin.team import are_gone

ROOT = Path(__file__).parents[3]
PYTHON = (sys.executable, "-S", "-E", "-c")
SAYS = "import signal, sys; print('ready', *sys.argv[1:], flush=True); signal.pause()"
DEAF = (
    "import signal; signal.signal(15, signal.SIG_IGN); print('ready', flush=True); signal.pause()"
)


def process(name: str, *words: str, program: str = SAYS) -> Process:
    return Process(
        name=name,
        command=(*PYTHON, program, *words),
        ready=r"^ready ?(?P<word>.*)",
        deadline_s=10,
        stop_s=1,
    )


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    reaper = Reaper()
    yield Site("run", tmp_path / "logs", reaper)
    reaper.close()


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "shelf", 10)


def test_the_owner_starts_once_and_a_borrower_finds_what_it_has(site: Site, shelf: Shelf) -> None:
    target = Target(
        name="t",
        services=(process("db", "5432"),),
        processes=(process("api", "http://{db.word}"),),
        base_url="{api.word}",
    )
    owner, borrower = Owned(target, site, shelf, Timings()), Borrowed(shelf)
    try:
        borrower.want(frozenset({SERVICES, MAIN}))
        assert shelf.needs() == {SERVICES, MAIN}
        owner.want(shelf.needs())
        assert borrower.services() == {("db", "word"): "5432"}
        assert borrower.main() == owner.main()
        assert borrower.main().base_url == "http://5432"
        pids = [borrower.main().pids["api"]]
        assert [psutil.Process(pid).cmdline()[-1] for pid in pids] == ["http://5432"]
        owner.want(frozenset({MAIN}))
        assert owner.main().pids["api"] == pids[0]
    finally:
        owner.close()
    assert are_gone(pids)


def test_what_is_needed_later_is_started_later(site: Site, shelf: Shelf) -> None:
    target = Target(name="t", services=(process("db", "1"),), processes=(process("api", "2"),))
    owner = Owned(target, site, shelf, Timings())
    try:
        assert owner.services() == {("db", "word"): "1"}
        assert not (shelf.path / MAIN).exists()
        assert set(owner.main().pids) == {"api"}
    finally:
        owner.close()


def test_a_failed_start_is_told_to_all_with_its_reason(site: Site, shelf: Shelf) -> None:
    target = Target(name="t", services=(process("db", program="raise SystemExit('no space')"),))
    owner, borrower = Owned(target, site, shelf, Timings()), Borrowed(shelf)
    for ask in (owner.services, borrower.services, borrower.main):
        with pytest.raises(TargetFailed, match=r"db ended with 1(.|\n)*no space"):
            ask()
    owner.close()


def test_a_borrower_does_not_wait_for_ever(tmp_path: Path) -> None:
    with pytest.raises(TargetFailed, match=r"the target's main did not come up within 0.05 s"):
        Borrowed(Shelf(tmp_path / "shelf", 0.05)).main()


def test_each_stack_has_a_copy_of_the_template_database(site: Site, shelf: Shelf) -> None:
    with EmbeddedServer() as server:
        admin_dsn = server.dsn("postgres", "postgres")
        with connect(admin_dsn) as admin:
            admin.execute("CREATE DATABASE template_of_ours")
        target = Target(
            name="t",
            database=TemplateDatabase(admin_dsn=admin_dsn, template="template_of_ours"),
            processes=(process("api", "{database.name}"),),
            app_dsn=f"{admin_dsn} dbname={{database.name}}",
        )
        owner = Owned(target, site, shelf, Timings())
        name = owner.main().app_dsn.rpartition("=")[2]
        names = "SELECT count(*) FROM pg_database WHERE datname = %s"
        with connect(admin_dsn) as admin:
            assert admin.execute(names, (name,)).fetchone() == (1,)
            owner.close()
            assert admin.execute(names, (name,)).fetchone() == (0,)


def test_closing_twice_is_closing_once(site: Site, shelf: Shelf) -> None:
    serve = (sys.executable, "-m", "engine", "db", "serve", "--ephemeral")
    server = "host={db.host} port={db.port} user=postgres"
    target = Target(
        name="t",
        services=(
            Process(
                name="db",
                command=serve,
                env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
                ready=r"^postgres ready host=(?P<host>\S+) port=(?P<port>\d+)",
            ),
        ),
        database=TemplateDatabase(admin_dsn=f"{server} dbname=postgres", template="template1"),
        processes=(process("api", "{stack.dir}"),),
        app_dsn=f"{server} dbname={{database.name}}",
    )
    owner = Owned(target, site, Shelf(shelf.path, 60), Timings())
    folder = Path(psutil.Process(owner.main().pids["api"]).cmdline()[-1])
    assert folder.is_dir()
    owner.close()
    owner.close()
    assert not folder.exists()


def test_services_end_although_the_stack_cannot_be_undone(site: Site, shelf: Shelf) -> None:
    with EmbeddedServer() as server:
        admin_dsn = server.dsn("postgres", "postgres")
        target = Target(
            name="t",
            database=TemplateDatabase(admin_dsn=admin_dsn, template="template1"),
            processes=(process("api", "{database.name}"),),
        )
        owner = Owned(target, site, shelf, Timings())
        pids = list(owner.main().pids.values())
    with pytest.raises(psycopg.OperationalError):  # its server is gone before it
        owner.close()
    assert are_gone(pids)


def test_addresses_survive_being_written_down() -> None:
    address = Address(base_url="http://h", app_dsn="a", pids={"api": 1}, logs={"api": "/l"})
    assert Address.loads(address.dumps()) == address


OWNER = """
import subprocess, sys
from pytest_spec11.launch.reaper import Reaper

reaper = Reaper()
child = subprocess.Popen(
    [sys.executable, "-S", "-E", "-c", sys.argv[1]], stdout=subprocess.PIPE, start_new_session=True
)
child.stdout.readline()
reaper.tell("group", child.pid)
reaper.tell("dir", sys.argv[2])
reaper.tell("dir", sys.argv[2] + "-kept")
reaper.tell("gone", sys.argv[2] + "-kept")
print(child.pid, reaper._sidecar.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("program", [SAYS, DEAF], ids=["hears", "deaf"])
def test_the_sidecar_ends_what_a_killed_owner_left(program: str, tmp_path: Path) -> None:
    for name in ("place", "place-kept"):
        (tmp_path / name).mkdir()
    with subprocess.Popen(  # noqa: S603  # our own interpreter
        (sys.executable, "-c", OWNER, program, str(tmp_path / "place")),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as owner:
        assert owner.stdout is not None
        pids = [int(word) for word in owner.stdout.readline().split()]
        for polite in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(pids[1], polite)  # from its first moment on
        owner.kill()
    try:
        eventually(lambda: are_gone(pids), deadline_s=30)
    finally:
        end_groups(pids, grace_s=0)
    assert not (tmp_path / "place").exists()
    assert (tmp_path / "place-kept").exists()


def test_the_sidecar_drops_a_database_whose_owner_was_killed() -> None:
    with EmbeddedServer() as server:
        admin_dsn = server.dsn("postgres", "postgres")
        with connect(admin_dsn) as admin:
            admin.execute("CREATE DATABASE orphan")
            reaper = Reaper()
            reaper.tell("drop", admin_dsn, "orphan")
            reaper.close()
            left = "SELECT count(*) FROM pg_database WHERE datname = 'orphan'"
            assert admin.execute(left).fetchone() == (0,)


def test_ending_a_group_that_is_gone_or_stopped() -> None:
    with subprocess.Popen(  # noqa: S603  # our own interpreter
        (*PYTHON, SAYS), stdout=subprocess.PIPE, start_new_session=True
    ) as stopped:
        assert stopped.stdout is not None
        stopped.stdout.readline()
        os.kill(stopped.pid, signal.SIGSTOP)
        threading.Thread(target=stopped.wait).start()
        end_groups([stopped.pid], grace_s=10)
    assert stopped.returncode == -signal.SIGTERM
    end_groups([stopped.pid])


def test_waiting_is_bounded_and_says_what_for() -> None:
    readings = iter([None, 0, 1, 2])
    assert eventually(lambda: next(readings), deadline_s=5, every_s=0, until=lambda n: n > 0) == 1

    def the_answer() -> int:
        return 41

    with pytest.raises(NotObserved, match=r"the_answer: not within 0 s, last reading 41"):
        eventually(the_answer, deadline_s=0, until=lambda n: n == 42)
    with pytest.raises(ZeroDivisionError):
        eventually(lambda: 1 / 0, deadline_s=5)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"base_url": "{web.url}"}, "an address names {web.url}"),
        ({"processes": (process("a"), process("a"))}, "two processes named a"),
        ({"processes": (process("a", "{b.word}"), process("b"))}, "a names {b.word}"),
        (
            {
                "processes": (process("a"),),
                "database": TemplateDatabase(admin_dsn="{a.word}", template="t"),
            },
            "admin_dsn names {a.word}",
        ),
    ],
)
def test_a_description_names_all_its_faults(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match="target t: ") as caught:
        Target(**{"name": "t", **changes})  # type: ignore[arg-type]  # faults are the point
    assert said in str(caught.value)


def test_a_description_may_say_json() -> None:
    words = json.dumps({"a": {"b": "c"}})
    assert process("a", words, "{}", "{x}").needs == frozenset()
