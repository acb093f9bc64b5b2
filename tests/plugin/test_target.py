"""The target: started as described, ended whatever happens, and clear about why it is not there."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_spec11.waiting import GIVE_UP_S, eventually
from tests.plugin.team import CONFTEST, FAMILY, PROOF, Team, are_gone

LOOKS = """
import pytest
from pathlib import Path

@pytest.mark.S00
@pytest.mark.claim("S00.lives")
def test_it_lives(api, proc):
    pids = [each for name in proc.names for each in proc.tree(proc.pid(name))]
    log = Path(next(Path(".spec11").glob("*")) / "logs" / "main" / "main" / "shadow.log")
    Path("seen").write_text(repr((pids, log.read_text(), proc.environ("shadow")["OF"])))
    assert api.get("/healthz").status == 200
"""
HANGS = """
import signal
import pytest

@pytest.mark.S00
@pytest.mark.claim("S00.lives")
def test_it_hangs(api, proc):
    assert api.get("/healthz").status == 200
    open("pids", "w").write(" ".join(map(str, proc.tree(proc.pid("api")))))
    open("ready", "w").close()
    signal.pause()
"""


def test_processes_get_their_values_and_none_is_left(team: Callable[..., Team]) -> None:
    ours = team(LOOKS)
    ours.write("conftest.py", FAMILY)

    assert ours.run("--spec11-keep-logs").status == 0

    pids, log, of = eval((ours.path / "seen").read_text())  # noqa: S307  # written by the line above
    _, _, port, place, *rest = log.split()
    assert rest == ["{not.known", "{}"]
    assert of == f"http://127.0.0.1:{port}"
    assert len(pids) == 3
    assert are_gone(pids)
    assert not Path(place).exists()


@pytest.mark.parametrize(("tests", "kept"), [(PROOF, False), (PROOF + "    assert False\n", True)])
def test_logs_are_kept_when_a_test_failed(
    tests: str, *, kept: bool, team: Callable[..., Team]
) -> None:
    ours = team(tests)
    assert ours.run().status == int(kept)
    logs = list(ours.bundle.glob("logs/**/api.log"))
    assert [each.read_text()[:12] for each in logs] == ["listening on"] * kept


@pytest.mark.parametrize(
    ("system", "said"),
    [
        ("print('half way'); raise SystemExit(9)", ("api ended with 9 before it was ready",)),
        (
            "import signal; print('half way', flush=True); signal.pause()",
            ("api was not ready within 0.5 s",),
        ),
        ("print('half way', flush=True); import no_such_module", ("api ended with 1",)),
    ],
)
def test_a_target_that_does_not_get_ready_says_why_with_the_end_of_its_log(
    system: str, said: tuple[str, ...], team: Callable[..., Team]
) -> None:
    ours = team()
    ours.write("system.py", system)
    ours.write("conftest.py", CONFTEST.replace("deadline_s=10", "deadline_s=0.5"))

    found = ours.run()

    assert found.status == 1
    assert "3 errors" in found.out
    for each in (*said, "end of ", "/api.log:", "half way"):
        assert each in found.out
    assert set(ours.reasons(scope="demo")["S00.answers"]) == {"E-ERROR"}


def test_a_command_that_is_not_there_is_named(team: Callable[..., Team]) -> None:
    ours = team()
    ours.write("conftest.py", CONFTEST.replace("(*PYTHON, ", "('/no/such/program', "))
    found = ours.run()
    assert found.status == 1
    assert "api cannot be started: " in found.out
    assert "/no/such/program" in found.out


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"{api.url}"', '"{web.url}"', "names {web.url}, which nothing earlier provides"),
        ("processes=(API,)", "processes=(API, API)", "two processes named api"),
    ],
)
def test_a_description_that_cannot_be_is_a_usage_error(
    old: str, new: str, said: str, team: Callable[..., Team]
) -> None:
    ours = team()
    ours.write("conftest.py", CONFTEST.replace(old, new))
    found = ours.run()
    assert found.status == 4
    assert "ERROR: target orders: " in found.out + found.err
    assert said in found.out + found.err


def test_ctrl_c_leaves_nothing_and_is_never_go(team: Callable[..., Team]) -> None:
    ours = team(HANGS)
    ours.write("conftest.py", FAMILY)
    with ours.start_pytest() as run:
        eventually((ours.path / "ready").exists, deadline_s=30)
        run.send_signal(signal.SIGINT)
        assert run.wait(GIVE_UP_S) == 2
    assert are_gone([int(pid) for pid in (ours.path / "pids").read_text().split()])
    assert ours.reasons(scope="demo")["S00.lives"] == ["E-ERROR"]


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_a_killed_pytest_leaves_nothing_and_is_never_go(
    signum: signal.Signals, team: Callable[..., Team]
) -> None:
    ours = team(HANGS)
    ours.write("conftest.py", FAMILY)
    with ours.start_pytest() as run:
        eventually((ours.path / "ready").exists, deadline_s=30)
        run.send_signal(signum)
        assert run.wait(GIVE_UP_S) == -signum
    pids = [int(pid) for pid in (ours.path / "pids").read_text().split()]
    eventually(lambda: are_gone(pids), deadline_s=30)
    assert "E-UNSEALED" in {code for codes in ours.reasons(scope="demo").values() for code in codes}


def test_a_run_broken_off_before_its_target_was_ready_leaves_nothing(
    team: Callable[..., Team],
) -> None:
    ours = team()
    ours.write(
        "system.py",
        "import os, pathlib, signal\n"
        "pathlib.Path('pids').write_text(str(os.getpid()))\n"
        "pathlib.Path('ready').touch()\n"
        "signal.pause()\n",
    )
    with ours.start_pytest() as run:
        eventually((ours.path / "ready").exists, deadline_s=30)
        run.send_signal(signal.SIGINT)
        assert run.wait(GIVE_UP_S) == 2
    assert are_gone([int((ours.path / "pids").read_text())])
