"""The local sandbox on its own: real commands, and what is left of them."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import uvloop

from engine.core.plans import Task
from engine.core.results import Result
from engine.ports.sbx.local import Local
from engine.ports.supervisor.cage import Limits
from pytest_spec11.waiting import eventually

LIMITS = {"wall_ms": 20_000, "cpu_s": 20, "memory_mb": 128, "file_mb": 4, "processes": 32}
KEY = "a" * 64


@pytest.fixture
def base() -> Iterator[Path]:
    """Where commands have their directories: every user may pass through."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o711)
        yield Path(made)


@pytest.fixture
def run(base: Path) -> Callable[..., Result]:
    """How a command ends; keywords change its limits."""

    def run_local(cmd: str, **limits: int) -> Result:
        local = Local(limits=Limits(**{**LIMITS, **limits}), base=base)
        return asyncio.run(local.run(Task(key=KEY, cmd=cmd), 2))

    return run_local


def test_what_a_shell_does_is_done(run: Callable[..., Result], base: Path) -> None:
    ended = run('cat; echo "$SPEC11_TASK $SPEC11_ATTEMPT"; kill -TERM $$')

    assert (ended.err_code, ended.exit, ended.stdout) == ("CMD_NONZERO", 128 + 15, f"{KEY} 2\n")
    assert [*base.iterdir()] == []


@pytest.mark.parametrize("loop", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_a_command_holds_its_three_streams_and_nothing_of_its_supervisor(
    base: Path, loop: Callable[..., Result]
) -> None:
    local = Local(limits=Limits(**LIMITS), base=base)

    ended = loop(local.run(Task(key=KEY, cmd="ls /proc/$$/fd"), 1))

    assert (ended.err_code, ended.stdout) == ("NONE", "0\n1\n2\n")


@pytest.mark.parametrize("way", ["setsid sleep 600 &", "(setsid sh -c 'sleep 600 & sleep 600' &)"])
def test_what_leaves_the_command_does_not_outlive_it(
    run: Callable[..., Result], base: Path, way: str
) -> None:
    before = sleepers()

    ended = run(f"{way}\nwhile [ $(ps -eo args | grep -c '[s]leep 600') = 0 ]; do :; done; exit 0")

    assert (ended.err_code, sleepers() - before, [*base.iterdir()]) == ("NONE", set(), [])


def sleepers() -> set[int]:
    found = psutil.process_iter(["cmdline"])
    return {each.pid for each in found if each.info["cmdline"] == ["sleep", "600"]}


def test_only_plain_files_of_its_own_are_collected(
    run: Callable[..., Result], tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("engine's own")
    made = {
        "a.json": f"ln -s {secret} a.json",
        "b.json": "echo 1 > b.json; ln b.json b.txt",
        "c.json": "mkfifo c.json",
        "d.json": "mkdir d.json",
        "e.json": "head -c 300000 /dev/zero > e.json",
        "f.json": "echo ok > f.json",
        "g.md": "printf '\\377\\0' > g.md",
        "h.txt": "echo no > h.txt",
    }

    ended = run("; ".join(made.values()))

    assert (ended.err_code, ended.files) == ("NONE", {"f.json": "ok\n", "g.md": "\ufffd\ufffd"})


@pytest.mark.parametrize(
    "mess",
    [
        "mkdir -p a/b; touch a/b/c; chmod 0 a/b a",
        "d=$(printf 'd/%.0s' $(seq 200)); for _ in 1 2 3 4 5 6 7 8; do mkdir -p $d; cd $d; done",
        "touch -- -rf '*' \"$(printf 'x\\ny')\"; ln -s /usr usr",
        "cd ..; mv work elsewhere; ln -s /usr work; true",
    ],
    ids=["no rights", "deep", "odd names", "moved"],
)
def test_whatever_it_makes_of_its_directory_is_removed(
    run: Callable[..., Result], base: Path, mess: str
) -> None:
    ended = run(f"{mess}; true")

    assert (ended.err_code, [*base.iterdir()]) == ("NONE", [])
    assert Path("/usr/bin").is_dir()


def test_a_run_that_is_given_up_takes_its_command_along(base: Path) -> None:
    before = sleepers()

    async def give_up() -> None:
        local = Local(limits=Limits(**LIMITS), base=base)
        running = asyncio.create_task(local.run(Task(key=KEY, cmd="exec sleep 600"), 1))
        await asyncio.to_thread(lambda: eventually(lambda: sleepers() - before, deadline_s=30))
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(give_up())

    assert (sleepers() - before, [*base.iterdir()]) == (set(), [])


@pytest.mark.parametrize("what", ["base", "shared"])
def test_a_sandbox_without_its_place_says_so(base: Path, what: str) -> None:
    places: dict[str, Any] = {"base": base / "no" if what == "base" else base}
    local = Local(limits=Limits(**LIMITS), **places, shared=base / "none")

    ended = asyncio.run(local.run(Task(key=KEY, cmd="echo hi"), 1))

    expected = "BOOT_FAIL" if what == "base" else "NONE"
    assert ended.err_code == expected
    assert ("No such file" in ended.stderr) == (what == "base")


def test_many_at_once_do_not_count_each_others_processes(base: Path) -> None:
    async def all_of_them() -> list[Result]:
        local = Local(limits=Limits(**LIMITS), base=base)
        crowd = "for i in $(seq 20); do sleep 1 & done; wait"
        tasks = (local.run(Task(key=f"{each}", cmd=crowd), 1) for each in range(4))
        return await asyncio.gather(*tasks)

    ended = asyncio.run(all_of_them())

    assert [each.err_code for each in ended] == ["NONE"] * 4


CONNECT = """python3 - <<'END'
import socket
for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
    try:
        socket.socket(socket.AF_UNIX, kind).connect({path!r})
        print("connected")
    except OSError as error:
        print(error.strerror)
one, other = socket.socketpair()
one.send(b"own pair")
print(other.recv(10).decode())
END"""
LANDLOCK = 444  # the system call, on every machine
UNSHARE = 272  # on x86_64
PRCTL = 157


def run_lacking(base: Path, cmd: str, *calls: int, people: bool = False) -> list[str]:
    """How ``cmd`` ended in the sandbox of a machine without ``calls``, perhaps not as root."""
    asked = json.dumps([LIMITS, str(base), cmd, calls, people])
    answer = subprocess.run(  # noqa: S603  # our own words only
        [sys.executable, "-m", "tests.engine.ports.lacking_machine", asked],
        capture_output=True,
        check=True,
        cwd=Path(__file__).parents[3],
    )
    found: list[str] = json.loads(answer.stdout)
    return found


@pytest.fixture
def listening(base: Path) -> Iterator[Path]:
    """A socket of this machine to which every account may connect."""
    path = base / "service"
    with socket.socket(socket.AF_UNIX) as service:
        service.bind(str(path))
        path.chmod(0o777)
        service.listen()
        yield path


def test_a_command_reaches_no_socket_of_this_machine(
    run: Callable[..., Result], listening: Path
) -> None:
    ended = run(CONNECT.format(path=str(listening)))

    assert ended.stdout.splitlines() == ["Permission denied", "Permission denied", "own pair"]
    assert "seccomp" in ended.sandbox_ref


@pytest.mark.parametrize("lacking", [(), (UNSHARE,)], ids=["namespaces", "no namespaces"])
def test_under_an_account_of_people_it_reaches_none_either(
    base: Path, listening: Path, lacking: tuple[int, ...]
) -> None:
    cmd = CONNECT.format(path=str(listening)) + "\npython3 -c 'import socket; socket.socket()'"

    _, said, trouble, ref = run_lacking(base, cmd, *lacking, people=True)

    assert said.splitlines() == ["Permission denied", "Permission denied", "own pair"]
    assert ("PermissionError" in trouble) == bool(lacking)  # then there is no network at all
    assert ("net" in ref) == (not lacking)


@pytest.mark.parametrize(
    ("call", "named"), [(LANDLOCK, "no Landlock"), (PRCTL, "takes no seccomp filter")]
)
def test_a_machine_that_cannot_hold_a_promise_is_refused_by_name(
    base: Path, call: int, named: str
) -> None:
    code, _, why, _ = run_lacking(base, "echo hi", call)

    assert (code, named in why) == ("BOOT_FAIL", True)
