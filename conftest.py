"""Where prover and engine meet: how the reference engine's processes are started."""

from __future__ import annotations

import os
import re
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from pytest_spec11.target import ForkServer, Identity, Process, Target, TemplateDatabase

if TYPE_CHECKING:  # what only a sabotaged run needs
    from pytest_spec11.saboteurs.saboteur import Saboteur

pytest.register_assert_rewrite("scenarios")  # a helper's assert says what it saw, too

ROOT: Final = Path(__file__).parent
ANSWERS: Final = ROOT / "scenarios" / "oc"  # recorded for the suite, beside the engine's own
APP_VERSION: Final = "v-under-test"
LAB: Final = {"OC_FIXTURES_DIR": str(ANSWERS), "SPEC11_WORKSPACE": "{stack.dir}"}
# What the engine is when its environment says nothing else.
POSTURE: Final = {
    "topology": "split",
    "ocMode": "replay",
    "ocStrictMode": "true",
    "sbxMode": "mock",
    "intentQueuePartition": "true",
    "sbxQueuePartition": "true",
}
# Nothing else of the caller's environment reaches the engine: the lab is the same everywhere.
PASSED_ON: Final = ("HOME", "LANG", "LC_ALL", "PATH", "SYSTEMROOT", "TMPDIR", "TZ", "VIRTUAL_ENV")
SERVER: Final = "host={postgres.host} port={postgres.port}"
ENGINE: Final = (sys.executable, "-m", "engine")
# The table of processes shows a fork with its own words and environment, in room of the server's.
ROOM: Final = "x" * 1024
ROOM_OF_ENVIRONMENT: Final = {"SPEC11_ROOM": "x" * 32_768}
SCENARIOS: Final = re.compile(r"S\d\d( or S\d\d)*")
OF_SCENARIO: Final = re.compile(r"test_s(\d\d)_")


def pytest_configure() -> None:
    """Ctrl-C is heard by what tests start, though a shell's background job hands on deafness."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With `-m S02`, or several by `or`, only the files of these scenarios are imported.

    It saves a third of the time; that each file holds its own scenario alone is seen to below.
    """
    if not SCENARIOS.fullmatch(config.option.markexpr):
        return None
    if collection_path.is_relative_to(ROOT / "tests"):
        return True
    of = OF_SCENARIO.match(collection_path.name)
    return True if of and f"S{of[1]}" not in config.option.markexpr else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A file of one scenario with a test of another would be left out by `-m`: it is an error."""
    for item in items:
        of = OF_SCENARIO.match(item.path.name)
        marks = {mark.name for mark in item.iter_markers() if SCENARIOS.fullmatch(mark.name)}
        if of is not None and marks != {f"S{of[1]}"}:
            raise pytest.UsageError(f"{item.nodeid} is of {marks}, by its file of S{of[1]}")


@pytest.hookimpl(optionalhook=True)  # the tests of one part run without the plugin, too
def pytest_spec11_target(config: pytest.Config) -> Target:
    """The reference engine: an embedded Postgres, one worker, one api-shim."""
    clean = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    clean |= {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    scope = str(config.getoption("spec11_scope") or config.getini("spec11_scope") or "demo")
    engine = clean | {
        "SPEC11_DSN": f"{SERVER} user=spec11 dbname={{database.name}}",
        "DBOS__APPVERSION": APP_VERSION,
        "CLAIM_SCOPE": scope,
        "PORT": "0",
    }
    return Target(
        name="spec11-engine",
        services=(_postgres(clean),),
        database=TemplateDatabase(
            admin_dsn=f"{SERVER} user=postgres dbname=postgres", template="spec11_template"
        ),
        processes=tuple(
            replace(each, fork_server=_fork_server(each, clean))
            for each in (_worker(engine | LAB), _api(engine))
        ),
        base_url="{api.url}",
        app_dsn=f"{SERVER} user=spec11_reader dbname={{database.name}}",
        sys_dsn=f"{SERVER} user=spec11_reader dbname={{database.name}}",
        admin_dsn=f"{SERVER} user=postgres dbname={{database.name}}",
        app_version=APP_VERSION,
        posture=POSTURE | {"claimScope": scope},
        identity=Identity(route="/healthz", key="appVersion"),
    )


@pytest.hookimpl(optionalhook=True)  # as above
def pytest_spec11_saboteurs() -> list[Saboteur]:
    """The faults that know the reference engine."""
    from scenarios.saboteurs.registry import list_saboteurs  # noqa: PLC0415  # only a sabotaged run has any

    return list_saboteurs()


def _fork_server(process: Process, env: dict[str, str]) -> ForkServer | None:
    """Loads what the process loads, once for all private stacks; it relies on Linux."""
    if not sys.platform.startswith("linux"):
        return None
    command = (*ENGINE, "forkserver", process.name, "--room", ROOM)
    return ForkServer(command=command, program=process.command, env=env | ROOM_OF_ENVIRONMENT)


def _postgres(env: dict[str, str]) -> Process:
    return Process(
        name="postgres",
        command=(*ENGINE, "db", "serve", "--ephemeral"),
        env=env,
        ready=r"^postgres ready host=(?P<host>\S+) port=(?P<port>\d+)",
    )


def _worker(env: dict[str, str]) -> Process:
    return Process(
        name="worker",
        command=(*ENGINE, "worker"),
        env=env,
        ready=r"^worker (?P<executor>\S+) ready",
    )


def _api(env: dict[str, str]) -> Process:
    return Process(
        name="api",
        command=(*ENGINE, "api"),
        env=env,
        ready=r"^listening on (?P<url>http://[^:]+:(?P<port>\d+))",
    )
