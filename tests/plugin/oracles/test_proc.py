from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from pytest_spec11.errors import NotProvable
from pytest_spec11.oracles.proc import Proc
from pytest_spec11.waiting import eventually
from tests.plugin.oracles.conftest import Notes

LISTENS = """
import os, signal, socket, sys, threading
server = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=signal.pause, daemon=True)
if os.fork() == 0:
    signal.pause()
print(server.getsockname()[1], flush=True)
signal.pause()
"""


@pytest.fixture
def listener() -> Iterator[subprocess.Popen[str]]:
    """A process that listens, with a child."""
    with subprocess.Popen(  # noqa: S603  # our own interpreter
        (sys.executable, "-S", "-E", "-c", LISTENS),
        stdout=subprocess.PIPE,
        text=True,
        env={"API_TOKEN": "opensesame", "MODE": "plain"},
    ) as process:
        try:
            yield process
        finally:
            for child in psutil.Process(process.pid).children():
                child.kill()
            process.kill()


def test_the_process_table_is_read_and_on_record(
    listener: subprocess.Popen[str], notes: Notes
) -> None:
    assert listener.stdout is not None
    port = int(listener.stdout.readline())
    proc = Proc({"api": listener.pid}, notes)
    (child,) = proc.children("api")

    assert proc.alive("api")
    assert proc.exists(child)
    assert proc.tree(listener.pid) == [listener.pid, child]
    assert {(each.host, each.port) for each in proc.sockets("api")} == {("127.0.0.1", port)}
    assert all(each.loopback for each in proc.sockets("api"))
    assert proc.threads("api") == 1
    assert proc.memory("api") > 1_000_000
    assert "opensesame" in proc.environ("api").values()  # the test may look
    assert {each.source for each in notes.seen} == {"process"}
    assert "opensesame" not in repr(notes.seen)  # the record may not
    assert "plain" in repr(notes.last.facts)


def test_an_ended_process_is_not_alive(listener: subprocess.Popen[str], notes: Notes) -> None:
    proc = Proc({"api": listener.pid}, notes)
    assert proc.alive("api")
    assert listener.stdout is not None
    listener.stdout.readline()
    (child,) = proc.children("api")
    psutil.Process(child).kill()
    assert eventually(lambda: not proc.exists(child), deadline_s=5)
    assert notes.last.facts == {"pid": child, "exists": False}


def test_a_process_nobody_started_cannot_be_looked_at(notes: Notes) -> None:
    with pytest.raises(NotProvable, match="no process web to look at; known: api"):
        Proc({"api": 1}, notes).alive("web")
    with pytest.raises(NotProvable, match="none, the system was started by somebody else"):
        Proc({}, notes).alive("web")


def test_a_command_is_on_record_with_how_it_ended(notes: Notes) -> None:
    program = "import os, sys; print(sys.stdin.read(), os.environ); sys.exit('password=opensesame')"
    ended = Proc({}, notes).run(
        (sys.executable, "-S", "-c", program, "--dsn=postgresql://u:opensesame@h/d"),
        env={"SECRET": "opensesame", "MODE": "odd"},
        stdin="hello",
    )
    assert ended.code == 1
    assert ended.stdout.startswith("hello")
    assert ended.stderr == "password=opensesame\n"
    facts = notes.last.facts
    assert facts["exitCode"] == 1
    assert facts["env"] == {"SECRET": "[hidden]", "MODE": "odd"}
    assert facts["argv"][-1] == "--dsn=postgresql://u:[hidden]@h/d"
    assert "password=opensesame" not in repr((facts, notes.last.body))


def test_bytes_that_are_no_text_are_shown_as_what_they_are(notes: Notes) -> None:
    program = "import sys; sys.stdout.buffer.write(bytes([255, 10]))"
    assert Proc({}, notes).run((sys.executable, "-S", "-c", program)).stdout == "\\xff\n"


def test_a_command_that_takes_too_long_leaves_nothing_and_is_on_record(
    tmp_path: Path, notes: Notes
) -> None:
    child = "import os, signal; print(os.getpid(), file=open('pid', 'w')); signal.pause()"
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-S', '-c', {child!r}])"
    with pytest.raises(subprocess.TimeoutExpired):
        Proc({}, notes).run(
            ("env", "-C", str(tmp_path), sys.executable, "-S", "-c", program), deadline_s=1
        )
    assert notes.last.empty
    assert notes.last.facts["timedOutAfterS"] == 1
    pid = int((tmp_path / "pid").read_text())
    assert eventually(lambda: not Proc({}, notes).exists(pid), deadline_s=5)
